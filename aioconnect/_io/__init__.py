"""The kernel and the loop: sockets, watchers, threads that resolve, transports."""
