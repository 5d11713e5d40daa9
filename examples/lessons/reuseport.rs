//! Two sockets on one port have two accept queues, and one of them dies with its process.

use std::{
    fs,
    io::Write,
    net::{SocketAddrV4, TcpListener},
    os::fd::{AsRawFd, OwnedFd},
};

use nix::sys::socket::{
    AddressFamily, Backlog, SockFlag, SockType, SockaddrIn, bind, listen, setsockopt, socket,
    sockopt::ReusePort,
};

use crate::{
    Lesson, Result, Verdict, process,
    tell::{right, say, wrong},
    wire::{self, Heard, LONG},
};

pub const LESSON: Lesson = Lesson {
    name: "reuseport",
    title: "clients that were never refused are reset",
    teach,
    places: &[
        (
            "src/restart/engine/inherit.rs",
            "claim",
            "takes a listener over by name, before anything is bound",
        ),
        ("src/net/listen/claim.rs", "bind_all", "binds only what no older generation has"),
    ],
};

const CLIENTS: usize = 100;

fn teach() -> Result<Verdict> {
    say(
        "With SO_REUSEPORT a new process can bind the port that the old one still has, which looks like \
         a restart without a gap. But each socket has an accept queue of its own. The kernel puts every \
         client into one of them, by a hash, and finishes the handshake: the client is connected.",
    );
    wrong(format!(
        "Old and new bind the same port. {CLIENTS} clients connect; the new process serves, the old \
         one is leaving and accepts no more. Then it exits."
    ));
    let old = reuse_port("127.0.0.1:0".parse()?)?;
    let new = reuse_port(old.local_addr()?.to_string().parse()?)?;
    let lost = reset_when(old, new)?;
    let migrates = fs::read_to_string("/proc/sys/net/ipv4/tcp_migrate_req").unwrap_or_default();
    say(format!(
        "{lost} of {CLIENTS} clients are reset: they sat in the queue that was closed. (A kernel told \
         to migrate them, net.ipv4.tcp_migrate_req=1, moves them over; here it says {:?}.)",
        migrates.trim()
    ));
    right(
        "Both processes have the same socket, by fork or by SCM_RIGHTS (unix(7)): one queue, which is \
         there for as long as anybody holds it. Nothing is bound twice.",
    );
    let old = wire::listener()?;
    let new = old.try_clone()?;
    let lost_right = reset_when(old, new)?;
    say(format!("{lost_right} of {CLIENTS} clients are reset."));
    Ok(Verdict {
        wrong: format!("lost {lost} of {CLIENTS} clients"),
        right: format!("lost {lost_right} of {CLIENTS}"),
        as_taught: (lost > 0 || migrates.trim() == "1") && lost_right == 0,
    })
}

/// A listener that allows others on its port.
fn reuse_port(address: SocketAddrV4) -> Result<TcpListener> {
    let socket: OwnedFd =
        socket(AddressFamily::Inet, SockType::Stream, SockFlag::SOCK_CLOEXEC, None)?;
    setsockopt(&socket, ReusePort, &true)?;
    bind(socket.as_raw_fd(), &SockaddrIn::from(address))?;
    listen(&socket, Backlog::new(128)?)?;
    Ok(socket.into())
}

/// The old process holds one listener, the new one serves on the other; the old one ends while clients
/// are queued. How many are not served?
fn reset_when(old: TcpListener, new: TcpListener) -> Result<usize> {
    let leaving = process::fork_and_stay(|| process::close_all([new.as_raw_fd()]))?;
    let clients = wire::connect(&new, CLIENTS)?;
    let _serving = process::fork(|| {
        process::close_all([old.as_raw_fd()]);
        let mut served = Vec::new();
        while let Ok((mut client, _)) = new.accept() {
            let _ = client.write_all(b"welcome\n");
            served.push(client);
        }
        1
    })?;
    drop((old, new)); // this process is the clients'
    drop(leaving);
    Ok(CLIENTS - wire::count(&clients, LONG, Heard::Bytes)?)
}
