//! Many listeners, and a configuration that changes: each socket is found again by its name.

use std::{collections::BTreeMap, fmt::Write, fs, net::TcpStream, os::unix::net::UnixStream};

use crate::common::{
    Dir,
    ops::Operated,
    restart::{Engine, sockets_of},
    wait_gone,
};

/// Beside the one on the command line, which is on `127.0.0.1:0` too.
const UNIX: usize = 298;

/// Where a generation listens, in the order of its configuration.
fn addresses(lab: &Operated, generation: u64) -> Vec<String> {
    let ready = lab.wait_line(&format!("ready: generation {generation} "));
    let list = ready.rsplit("listening on ").next().unwrap_or_default();
    list.split(", ").map(str::to_owned).collect()
}

/// The listening sockets of the system by address, with their inodes; more than one for an address that
/// was bound twice.
fn inodes() -> BTreeMap<String, Vec<u64>> {
    let mut found = BTreeMap::<String, Vec<u64>>::new();
    let table = |name| fs::read_to_string(format!("/proc/net/{name}")).expect("proc");
    for row in table("unix").lines() {
        let row: Vec<_> = row.split_whitespace().collect();
        // 00010000: the socket accepts connections (`__SO_ACCEPTCON`).
        if let [_, _, _, "00010000", _, _, inode, path] = row[..] {
            found.entry(format!("unix:{path}")).or_default().push(inode.parse().expect("inode"));
        }
    }
    for row in table("tcp").lines() {
        let row: Vec<_> = row.split_whitespace().collect();
        if let Some(port) = row[1].strip_prefix("0100007F:").filter(|_| row[3] == "0A") {
            let port = u16::from_str_radix(port, 16).expect("a port");
            let inode = row[9].parse().expect("inode");
            found.entry(format!("127.0.0.1:{port}")).or_default().push(inode);
        }
    }
    found
}

/// The inode of each address; every one is bound once, and `pid` has it.
fn sockets(addresses: &[String], pid: i32) -> Vec<u64> {
    let mut reads = 10;
    let (mut inodes, own) = (inodes(), sockets_of(pid));
    // The kernel's table is read in pieces, and loses rows when sockets of others go meanwhile.
    while addresses.iter().any(|address| !inodes.contains_key(address)) && reads > 0 {
        inodes.extend(self::inodes());
        reads -= 1;
    }
    let socket = |address: &String| match inodes.get(address).map(Vec::as_slice) {
        Some([inode]) if own.contains(inode) => *inode,
        other => panic!("{address}: {other:?}"),
    };
    addresses.iter().map(socket).collect()
}

#[test]
fn scenario_18_many_or_duplicate_listeners() {
    let dir = Dir::new();
    let unix = |number: usize| format!("unix:{}", dir.path(&format!("{number}.sock")).display());
    let list = dir.path("list");
    let configure = |names: &[String]| {
        let mut text = String::new();
        names.iter().for_each(|name| writeln!(text, "{name}").expect("memory"));
        fs::write(&list, text).expect("a file of ours");
    };
    let zero = "127.0.0.1:0".to_owned();
    let mut names: Vec<_> = (0..UNIX).map(unix).collect();
    names.insert(UNIX / 2, zero.clone());
    configure(&names);
    let lab = Operated::with(30, |setup| setup.env("LAB_ALSO", list.display()));
    let first = addresses(&lab, 0);
    assert_eq!(first.len(), UNIX + 2);
    let before = sockets(&first, lab.pid());
    for (restarts, engine) in [Engine::Fork, Engine::ForkExec, Engine::Fork].into_iter().enumerate()
    {
        let new = lab.restart_by(engine);
        assert_eq!(addresses(&lab, restarts as u64 + 1), first, "the same, in the same order");
        assert_eq!(sockets(&first, new), before, "the same sockets");
    }

    // Fifty fewer, fifty more, and all in another order.
    let mut changed: Vec<_> = (50..UNIX + 50).map(unix).rev().collect();
    changed.insert(10, zero);
    configure(&changed);
    let old = lab.pid();
    let new = lab.restart_by(Engine::ForkExec);
    wait_gone(old);
    let now = addresses(&lab, 4);
    assert_eq!(now[0], first[0], "each of the two keeps its port");
    assert_eq!(now[11], first[1 + UNIX / 2], "each of the two keeps its port");
    let after = sockets(&now, new);
    let known: BTreeMap<_, _> = first.iter().zip(&before).collect();
    let kept = now.iter().zip(&after).filter(|(address, inode)| known.get(address) == Some(inode));
    assert_eq!(kept.count(), UNIX - 50 + 2);
    for name in now.iter().filter(|name| !known.contains_key(name)) {
        UnixStream::connect(name.trim_start_matches("unix:")).expect("one that was added");
    }
    let all = inodes();
    assert!((0..50).all(|number| !all.contains_key(&unix(number))), "one that was dropped listens");
    TcpStream::connect(&now[0]).expect("the first one");
}
