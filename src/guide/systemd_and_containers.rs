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
//!   drains: that is so, and does no harm. From systemd 257 on it is told which process is meant by a number that no other will
//!   ever have (`MAINPIDFDID=`), beside the one that may be somebody else's soon.
//! - With `--supervised` the main process is the [supervisor](super::operating#a-stable-pid), and stays it.
//!   The generations speak for it, so the unit needs `NotifyAccess=all`.
//! - `STOPPING=1` is sent at the end of the service only.
//!
//! # What the unit takes from the program
//!
//! A server of this kind needs no privilege: it makes processes, sockets and memory files, and looks at processes of its own user. So the
//! unit has what `systemd-analyze security` asks for, and restarts by either engine work under it, with a supervisor and
//! workers as well; the tests do that with this very text. What to know of it:
//!
//! | the unit says | and so |
//! |---|---|
//! | `DynamicUser=yes` | no user has to be made. What must outlive a stop is in `StateDirectory=`; [paths](super::sockets) of sockets are best in `RuntimeDirectory=`, and a client of another user needs `RuntimeDirectoryMode=0755` and a `mode=` |
//! | `ProtectSystem=strict` | all but `/run/echo` is read-only. A fork-exec starts the program that is at its path *there*, so an upgrade that replaces the file is seen; one that mounts something over it is not |
//! | `PrivateTmp=yes` | a socket in `/tmp` is nobody else's to find |
//! | `ProtectProc=invisible` | processes of other users are not seen. It needs none |
//! | `RestrictAddressFamilies=` | a service that looks names up by the C library (`getaddrinfo(3)`) needs `AF_NETLINK` as well |
//! | `SystemCallFilter=@system-service`, `~@privileged` | all that this crate calls is in it. A port below 1024 needs `AmbientCapabilities=CAP_NET_BIND_SERVICE` and the same in `CapabilityBoundingSet=`, and a socket whose `user=` or `group=` is changed `@chown`; a socket unit needs neither |
//! | `MemoryDenyWriteExecute=yes` | a service that compiles code at run time (a JIT) cannot have it |
//!
//! # The watchdog
//!
//! With `WatchdogSec=` the process that serves sends a ping at half of that time, by the same loop that serves. If it hangs, systemd ends
//! the unit (`SIGABRT`) and starts it anew.
//!
//! Behind a [supervisor](super::operating#a-stable-pid) it is the supervisor that sends the pings, and the generations tell it that their loops
//! turn. One that has not for `WatchdogSec=` is killed and made anew, like one that has crashed: among several
//! [workers](super::more_than_one_core) that costs the connections of one, and the service stays. systemd acts if the supervisor itself hangs.
//! After a `SIGSTOP` to all of them, or when the machine was suspended, everybody has the full time again.
//!
//! # A crash of everything
//!
//! If all processes end without a word (`kill -9`, the last of the memory), systemd starts the program anew, and who was in the queue of a listener is
//! reset, unless systemd itself has the listener. It has those of a [socket unit](#sockets-that-systemd-opens). The others, and a state, it keeps in
//! its *descriptor store*, if the unit says so:
//!
//! ```ini
//! [Service]
//! # More than the sockets that are listened on, the control socket included, and two.
//! FileDescriptorStoreMax=16
//! # Before systemd 254, which says so itself:
//! # Environment=FDSTORE=16
//! # The paths of Unix sockets stay as well.
//! RuntimeDirectoryPreserve=restart
//! Restart=on-failure
//! RestartSec=100ms
//! ```
//!
//! The program needs nothing for its sockets: they are stored when it serves, and removed when a newer program does not want them or the service stops. For
//! its state it calls [`Net::checkpoint`](crate::Net::checkpoint) as often as it likes, by an alarm for instance.
//!
//! | of | is there after a crash of everything |
//! |---|---|
//! | clients in the queue of a listener | they wait, and are served |
//! | datagrams that nobody has read | as many as the buffer has room for |
//! | the state | as at the last checkpoint, by [`load`](crate::Service::load), before [`on_start`](crate::Service::on_start) |
//! | what has changed since, established connections, alarms, words, numbers for monitors | nothing |
//!
//! - A state that is not whole, or is of a kind that nobody knows, is one line in the log, and a fresh start. One that `load`
//!   refuses ends the program, since it may have read half of it, and the next start is a fresh one. If a state makes the program crash each
//!   time, `StartLimitBurst=` ends that: a unit that has failed has no store any more.
//! - A stop, and so `systemctl restart` as well, leaves nothing behind: the sockets are closed and the checkpoint is removed. To change a program without
//!   a gap, reload.
//! - After a restart the new process stores what is new 5 seconds after it has committed, when systemd must have read that it is the main process now.
//! - With a supervisor it is that which has sockets and checkpoints stored, of each worker its own. It also gives the last checkpoint of a generation
//!   that has crashed alone to the next one, whether there is a store or not.
//! - The names in the store begin with `heirloom.`; what else is there is closed with a warning, and stays stored
//!   (`systemd-analyze fdstore echo.service` lists it, from systemd 254 on).
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
//! Unix socket belongs to systemd and is never removed by the server.
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
