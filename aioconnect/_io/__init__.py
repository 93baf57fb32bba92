"""The system and the loop: sockets, watchers, timers, look-ups, TLS, transports."""
