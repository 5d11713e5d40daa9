//! A real PostgreSQL, on a Unix socket of its own. Knows no test.

use std::{
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
};

use nix::{
    sys::signal::{Signal, kill},
    unistd::{Pid, User, chown, getuid},
};

use super::{Dir, run_to_end, wait_for};

pub struct Postgres {
    child: Child,
    dir: Dir,
}

impl Postgres {
    pub fn start() -> Postgres {
        let dir = Dir::new();
        let data = dir.path("data");
        std::fs::create_dir(&data).expect("a directory");
        if let Some(user) = stand_in() {
            chown(&data, Some(user.uid), Some(user.gid)).expect("root may");
        }
        let mut initdb = program("initdb");
        initdb.args(["--auth=trust", "--username=postgres", "--no-sync", "-D"]).arg(&data);
        let made = run_to_end(&mut initdb);
        assert!(made.status.success(), "{made:?}");
        let mut postgres = program("postgres");
        postgres.args(["-c", "listen_addresses=", "-F", "-k"]).arg(&data).arg("-D").arg(&data);
        let child = postgres.stdin(Stdio::null()).stderr(Stdio::null()).spawn().expect("it starts");
        wait_for("postgres", || {
            let asked = program("pg_isready").arg("--quiet").arg("--host").arg(&data).status();
            asked.expect("it runs").success()
        });
        Postgres { child, dir }
    }

    /// As libpq and its like have it.
    pub fn address(&self) -> String {
        format!("host={} user=postgres", self.dir.path("data").display())
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        let _ = kill(Pid::from_raw(self.child.id() as i32), Signal::SIGQUIT); // with all its processes, at once
        let _ = self.child.wait();
    }
}

/// It refuses to run as root.
fn stand_in() -> Option<User> {
    getuid().is_root().then(|| User::from_name("postgres").ok().flatten().expect("its own user"))
}

/// A program of PostgreSQL, as the user that it may run as. Debian has them in no `PATH`.
fn program(name: &str) -> Command {
    let path = find(name).unwrap_or_else(|| panic!("{name} is not installed"));
    let Some(user) = stand_in() else { return Command::new(path) };
    let mut command = Command::new("setpriv");
    command.arg(format!("--reuid={}", user.uid)).arg(format!("--regid={}", user.gid));
    command.arg("--clear-groups").arg(path).current_dir("/");
    command
}

fn find(name: &str) -> Option<PathBuf> {
    let versions = std::fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    let of_debian = versions.map(|version| version.path().join("bin").join(name));
    let in_path = std::env::var_os("PATH").unwrap_or_default();
    let in_path: Vec<_> = std::env::split_paths(&in_path).map(|dir| dir.join(name)).collect();
    of_debian.chain(in_path).find(|path| Path::exists(path))
}
