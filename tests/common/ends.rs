//! Both ends of connections over the loopback, as the kernel knows them: `/proc/net/tcp`. Knows nothing of what is said.

use std::{collections::BTreeSet, fs};

/// One end of an established connection.
#[derive(Clone, Copy, Debug)]
pub struct End {
    pub inode: u64,
    pub is_client: bool,
    /// Bytes that were written here and have not arrived there.
    pub unsent: u64,
    /// Bytes that have come and nobody has read.
    pub unread: u64,
}

/// The ends of all that are connected to this port.
pub fn of(port: &str) -> Vec<End> {
    let port = format!(":{:04X}", port.parse::<u16>().expect("a port"));
    let table = fs::read_to_string("/proc/net/tcp").expect("proc");
    let rows = table.lines().skip(1).map(|line| line.split_whitespace().collect::<Vec<_>>());
    // 01: the state ESTABLISHED.
    let ours =
        rows.filter(|row| row[3] == "01" && (row[1].ends_with(&port) || row[2].ends_with(&port)));
    let hex = |text: &str| u64::from_str_radix(text, 16).expect("a number");
    let end = |row: Vec<&str>| {
        let (unsent, unread) = row[4].split_once(':').expect("two queues");
        End {
            inode: row[9].parse().expect("an inode"),
            is_client: row[2].ends_with(&port),
            unsent: hex(unsent),
            unread: hex(unread),
        }
    };
    ours.map(end).collect()
}

/// By inode, which stays the same as long as the socket does, whichever processes have it.
pub fn sockets(port: &str) -> BTreeSet<u64> {
    of(port).iter().map(|end| end.inode).collect()
}
