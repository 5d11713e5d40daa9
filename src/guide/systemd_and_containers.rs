//! Under systemd, and in containers: what a server says to its service manager, and a unit for it.
//!
//! A server tells systemd what it does: that it serves, that a restart is under way, which process is the
//! service afterwards, and that it stops. Nothing has to be switched on; where `NOTIFY_SOCKET` is not set,
//! nothing is said (`sd_notify(3)`).
//!
//! # A unit
//!
//! `/etc/systemd/system/echo.service`:
//!
//! ```ini
//! [Unit]
//! Description=Echo server
//! # If there is an echo.socket, as below:
//! # Requires=echo.socket
//! After=network.target
//!
//! [Service]
//! # `systemctl reload` sends SIGHUP and waits until the new generation has proven itself, or the
//! # restart has failed and the old one serves on. (Before systemd 253: Type=notify, and a line
//! # ExecReload=kill -HUP $MAINPID, which waits for nothing.)
//! Type=notify-reload
//! # Only the main process is believed, and no other says anything.
//! NotifyAccess=main
//! ExecStart=/usr/local/bin/echo --listen 0.0.0.0:7777 --control /run/echo/control
//! # For sockets with a path, readable by nobody else.
//! RuntimeDirectory=echo
//! RuntimeDirectoryMode=0700
//! # All generations are told to stop, and the main process goes last. Not `mixed`: after a restart the main
//! # process was not started by systemd itself, which then kills it at once instead of waiting for it.
//! KillMode=control-group
//! # More than `lame_duck` and `drain_on_stop` together; the latter is 30 s unless told otherwise.
//! TimeoutStopSec=40
//! # More than `ready_within` and `probation` together, for a reload to come to its own end.
//! TimeoutStartSec=30
//! # A ping comes at half of this, through restarts as well. It is also how systemd finds out that a main
//! # process has crashed while the one that it was made by still drains.
//! WatchdogSec=10
//! Restart=on-failure
//!
//! # What this program does not need is taken from it (see below).
//! DynamicUser=yes
//! NoNewPrivileges=yes
//! CapabilityBoundingSet=
//! ProtectSystem=strict
//! ProtectHome=yes
//! ProtectProc=invisible
//! ProtectClock=yes
//! ProtectControlGroups=yes
//! ProtectHostname=yes
//! ProtectKernelLogs=yes
//! ProtectKernelModules=yes
//! ProtectKernelTunables=yes
//! PrivateDevices=yes
//! PrivateTmp=yes
//! LockPersonality=yes
//! MemoryDenyWriteExecute=yes
//! RestrictAddressFamilies=AF_INET AF_INET6 AF_UNIX
//! RestrictNamespaces=yes
//! RestrictRealtime=yes
//! RestrictSUIDSGID=yes
//! SystemCallArchitectures=native
//! SystemCallErrorNumber=EPERM
//! SystemCallFilter=@system-service
//! SystemCallFilter=~@privileged
//!
//! [Install]
//! WantedBy=multi-user.target
//! ```
//!
//! - `systemctl reload echo` restarts by fork: the same code with its warm heap, which is what SIGHUP means
//!   in the examples. For new code, `systemctl kill --kill-whom=main --signal=USR2 echo`, or
//!   `heirloom --control /run/echo/control restart --fork-exec`, which waits and says how it went. To have
//!   `systemctl reload` do that, write `ReloadSignal=SIGUSR2`.
//! - During a restart the old process remains the main process until the new one has committed. Then it
//!   announces the new one, with `READY=1` in the same message, and ends only when systemd has read that
//!   (`BARRIER=1`). A restart that fails ends with `READY=1` and the reason as the status line, so
//!   `systemctl status` shows it. `systemctl reload` itself succeeds then, since the service serves.
//! - systemd logs that it is "supervising process which is not our child" while the old process still
//!   drains: that is so, and does no harm.
//! - With `--supervised` the main process is the [supervisor](super::operating#a-stable-pid), and stays it.
//!   The generations speak for it, so the unit needs `NotifyAccess=all`.
//! - `STOPPING=1` is sent at the end of the service only.
//!
//! # Sockets that systemd opens
//!
//! systemd can also open the sockets, and keep them when the service crashes or is stopped: clients wait
//! in the queue and nobody is refused. `/etc/systemd/system/echo.socket`:
//!
//! ```ini
//! [Socket]
//! ListenStream=7777
//! FileDescriptorName=web
//! Backlog=4096
//!
//! [Install]
//! WantedBy=sockets.target
//! ```
//!
//! Then the server asks for them by name, `--listen systemd:web` (all sockets called `web`, if there are
//! several), or by the very address that they are bound to: `ListenStream=7777` is `[::]:7777`. They pass from
//! generation to generation like any listener. A socket that nobody asks for is closed with a warning; one
//! that is no stream, or does not listen (`Accept=yes`), is an error at the start. The path of an activated
//! Unix socket belongs to systemd and is never removed by the server. The descriptor store
//! (`FileDescriptorStoreMax=`) is not used.
//!
//! # In a container
//!
//! A container ends with its first process. As process 1 a server without a supervisor refuses to restart,
//! since the container would end with the first generation. With
//! [`supervised`](crate::Server::supervised) a container may have the server as its first process
//! (`ENTRYPOINT ["/usr/local/bin/echo", "--supervised"]`, no `dumb-init`): the supervisor stays, reaps orphans,
//! passes signals on, and ends with the exit status of the last generation that served.
//!
//! What Kubernetes asks of it is on the next page.
//!
//! Next: [more than one machine](super::more_than_one_machine).
