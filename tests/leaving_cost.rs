//! What it costs a process to leave whose heap another one has as well: next to nothing, however much is in it.

use std::{env, fs};

use crate::common::{
    self, Server, wait_gone,
    wire::{Wire, command},
};
use nix::sys::signal::Signal;

/// What a process has used so far: it is told of one that has ended, too, as long as nobody has reaped it.
#[derive(Clone, Copy, Debug)]
struct Used {
    cpu_ms: f64,
    /// Pages that it was given: what it writes to and another one has as well is copied (`proc(5)`).
    pages: u64,
}

impl Used {
    fn by(pid: i32) -> Used {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).expect("not reaped");
        let (_, rest) = stat.rsplit_once(") ").expect("a name");
        let pages = rest.split(' ').nth(7).and_then(|pages| pages.parse().ok());
        let run = fs::read_to_string(format!("/proc/{pid}/schedstat")).expect("not reaped");
        let run = run.split(' ').next().and_then(|nanos| nanos.parse::<u64>().ok());
        Used { cpu_ms: run.expect("a time") as f64 / 1e6, pages: pages.expect("a number") }
    }

    fn since(self, before: Used) -> Used {
        Used { cpu_ms: self.cpu_ms - before.cpu_ms, pages: self.pages - before.pages }
    }

    fn mib(self) -> f64 {
        self.pages as f64 * 4.0 / 1024.0
    }
}

/// Keys of 10 bytes with 100 bytes each, as many as `HEIRLOOM_KEYS` says.
fn fill(server: &Server) -> usize {
    let keys = env::var("HEIRLOOM_KEYS").map_or(100_000, |keys| keys.parse().expect("a number"));
    let (mut writer, value) = (Wire::connect(&server.address), [b'v'; 100]);
    for first in (0..keys).step_by(1000) {
        let count = 1000.min(keys - first);
        let piece: Vec<_> = (first..first + count)
            .flat_map(|key| command(&[b"SET", format!("key:{key:06}").as_bytes(), &value]))
            .collect();
        writer.send(piece);
        (0..count).for_each(|_| assert_eq!(writer.reply(), b"+OK\r\n"));
    }
    keys
}

/// The old process of a fork goes when its last client has: the new one has the keys.
#[test]
fn who_leaves_after_a_fork_touches_nothing_of_what_is_shared() {
    let mut server = Server::of("kv").arg("--no-move").start();
    let keys = fill(&server);
    let last = {
        let mut last = Wire::connect(&server.address);
        assert_eq!(last.ask("PING"), "+PONG\r\n");
        last
    };
    let old = server.pid();
    server.restart(Signal::SIGHUP);
    // It rests: all that it had to do for the restart is done.
    common::restart::wait_for_events(old);
    let before = Used::by(old);
    drop(last);
    wait_gone(old);
    let used = Used::by(old).since(before);
    println!(
        "{keys} keys: the old process left with {:.1} ms of CPU time, {:.2} MiB of pages copied",
        used.cpu_ms,
        used.mib()
    );
    assert!(server.wait_exit().success());
    assert_eq!(Wire::connect(&server.address).ask("DBSIZE"), format!(":{keys}\r\n"));
    assert!(used.mib() < 5.0 && used.cpu_ms < 50.0, "{used:?}");
}
