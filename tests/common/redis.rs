//! A real redis-server, on a Unix socket of its own. Knows no test.

use std::{
    os::unix::net::UnixStream,
    process::{Child, Command, Stdio},
};

use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};

use super::{Dir, wait_for, wire::Wire};

pub struct Redis {
    child: Child,
    dir: Dir,
    /// Whether it keeps its data in a file.
    keeps: bool,
}

impl Redis {
    /// With no file and one database.
    pub fn start() -> Redis {
        Redis::new(false)
    }

    /// Each write is in a file before it is confirmed, so that it survives a restart.
    pub fn start_with_file() -> Redis {
        Redis::new(true)
    }

    fn new(keeps: bool) -> Redis {
        let dir = Dir::new();
        let redis = Redis { child: run(&dir, keeps), dir, keeps };
        redis.wait();
        redis
    }

    pub fn address(&self) -> String {
        format!("unix:{}", self.dir.path("redis").display())
    }

    pub fn connect(&self) -> Wire {
        Wire::connect(&self.address())
    }

    /// Ends it by `signal`.
    pub fn end(&mut self, signal: Signal) {
        kill(Pid::from_raw(self.child.id() as i32), signal).expect("our child");
        wait_for("redis-server to end", || self.child.try_wait().expect("our child").is_some());
    }

    /// Starts it again, with what it has kept.
    pub fn start_again(&mut self) {
        self.child = run(&self.dir, self.keeps);
        self.wait();
    }

    /// Until it serves: it may have to read its file first.
    fn wait(&self) {
        wait_for("redis-server", || UnixStream::connect(self.dir.path("redis")).is_ok());
        let mut wire = self.connect();
        wait_for("redis-server to have its data", || wire.ask("PING").starts_with("+PONG"));
    }
}

fn run(dir: &Dir, keeps: bool) -> Child {
    Command::new("redis-server")
        .args(["--port", "0", "--save", "", "--databases", "1"])
        .args(["--appendonly", if keeps { "yes" } else { "no" }, "--dir"])
        .arg(dir.path(""))
        .arg("--unixsocket")
        .arg(dir.path("redis"))
        .stdout(Stdio::null())
        .spawn()
        .expect("redis-server is installed")
}

impl Drop for Redis {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
