//! The libraries by which people talk to Redis, as they are when nothing is set: each connects, does what it is for,
//! and notices nothing of twenty restarts by each engine, whether its connections move or not.
//!
//! `target/kv-clients` has them, where `.ci/run` puts them: `cargo test --test promises kv_clients:: -- --ignored`.

mod scripts;

use std::{
    fs,
    io::{BufRead, BufReader, Read, Write},
    path::{Path, PathBuf},
    process::{Child, ChildStdout, Command, Stdio},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread,
};

use crate::common::{Dir, Server, restart::Engine, wait_for};
use redis::Commands;

const RESTARTS: usize = 20;

fn installed(path: &str) -> PathBuf {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/kv-clients").join(path);
    assert!(path.exists(), "{} is not there: .ci/run installs it", path.display());
    path
}

fn port(server: &Server) -> &str {
    server.address.rsplit(':').next().expect("a port")
}

/// A program with a client library in it; it ends with the test.
struct Program {
    name: &'static str,
    child: Child,
    output: BufReader<ChildStdout>,
    said: String,
}

impl Program {
    fn start(name: &'static str, command: &mut Command) -> Program {
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap_or_else(|e| panic!("{name}: {e}"));
        let output = BufReader::new(child.stdout.take().expect("a pipe"));
        let mut program = Program { name, child, output, said: String::new() };
        program.output.read_line(&mut program.said).expect("text");
        if program.said != "ready\n" {
            panic!("{name}: {}", program.end().unwrap_err());
        }
        program
    }

    fn python(name: &'static str, script: &str, args: &[&str]) -> Program {
        let mut command = Command::new(installed("python/bin/python3"));
        Program::start(name, command.args(["-c", script]).args(args))
    }

    /// Node looks for packages beside the script.
    fn node(name: &'static str, script: &str, dir: &Dir, args: &[&str]) -> Program {
        let modules = dir.path("node_modules");
        if !modules.exists() {
            std::os::unix::fs::symlink(installed("node_modules"), modules).expect("a link");
        }
        let path = dir.path(&format!("{name}.mjs"));
        fs::write(&path, script).expect("a file");
        Program::start(name, Command::new("node").arg(path).args(args))
    }

    fn c(name: &'static str, source: &str, dir: &Dir, args: &[&str]) -> Program {
        let (path, program) = (dir.path(&format!("{name}.c")), dir.path(name));
        fs::write(&path, source).expect("a file");
        let built = Command::new("cc").arg(path).arg("-o").arg(&program).arg("-lhiredis").status();
        assert!(built.expect("cc runs").success(), "{name} is not built");
        Program::start(name, Command::new(program).args(args))
    }

    /// Tells it to end; how many rounds it has done, or what it says.
    fn end(&mut self) -> Result<u64, String> {
        drop(self.child.stdin.take());
        let mut status = None;
        wait_for(self.name, || {
            status = self.child.try_wait().expect("our child");
            status.is_some()
        });
        let mut errors = String::new();
        self.output.read_to_string(&mut self.said).expect("text");
        let stderr = self.child.stderr.as_mut().expect("a pipe");
        stderr.read_to_string(&mut errors).expect("text");
        let rounds = self.said.lines().find_map(|line| line.strip_prefix("rounds: ")?.parse().ok());
        let well = status.is_some_and(|status| status.success()) && errors.is_empty();
        rounds.filter(|_| well).ok_or_else(|| format!("{status:?}: {}\n{errors}", self.said))
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// redis-rs, in a thread.
fn redis_rs(url: String, name: &'static str, stop: Arc<AtomicBool>) -> redis::RedisResult<u64> {
    let client = redis::Client::open(url)?;
    let mut conn = client.get_connection()?;
    let mut count = 0;
    while !stop.load(Ordering::Relaxed) {
        count += 1;
        let () = conn.set_ex(name, count, 1000)?;
        assert_eq!(conn.get::<_, u64>(name)?, count);
        assert_eq!(conn.get::<_, Option<u64>>("redis-rs:none")?, None);
        let counter = format!("{name}:n");
        let mut pipe = redis::pipe();
        let all: (u64, u64) = pipe.atomic().incr(&counter, 1).get(name).query(&mut conn)?;
        assert_eq!(all, (count, count));
    }
    Ok(count)
}

fn nobody_notices(moves: &str) {
    let (server, dir) = (Server::of("kv").arg(moves).start(), Dir::new());
    let port = port(&server);
    let stop = Arc::new(AtomicBool::new(false));
    let threads = ["?protocol=resp2", "?protocol=resp3"].map(|version| {
        let (url, stop) = (format!("redis://{}/{version}", server.address), Arc::clone(&stop));
        let name = if version.ends_with('2') { "redis-rs:2" } else { "redis-rs:3" };
        (name, thread::spawn(move || redis_rs(url, name, stop)))
    });
    let mut programs = [
        Program::python("redis-py", scripts::REDIS_PY, &[port, "plain"]),
        Program::python("redis-py-with-hiredis", scripts::REDIS_PY, &[port, "hiredis"]),
        Program::python("coredis", scripts::COREDIS, &[port]),
        Program::python("valkey-glide", scripts::GLIDE, &[port]),
        Program::node("node-redis", scripts::NODE_REDIS, &dir, &[port]),
        Program::node("ioredis", scripts::IOREDIS, &dir, &[port]),
        Program::c("hiredis", scripts::HIREDIS, &dir, &[port]),
    ];
    for engine in Engine::alternating().take(2 * RESTARTS) {
        server.restart(engine.signal());
    }
    stop.store(true, Ordering::Relaxed);
    let mut wrong = String::new();
    for (name, thread) in threads {
        match thread.join().expect("no answer is wrong") {
            Ok(rounds) => println!("{name}: {rounds} rounds"),
            Err(why) => wrong += &format!("{name}: {why}\n"),
        }
    }
    for program in &mut programs {
        match program.end() {
            Ok(rounds) => println!("{}: {rounds} rounds", program.name),
            Err(why) => wrong += &format!("{}: {why}\n", program.name),
        }
    }
    std::io::stdout().flush().expect("it takes it");
    assert!(wrong.is_empty(), "{wrong}");
}

#[test]
#[ignore = "needs python3, node and cc with the clients in target/kv-clients"]
fn clients_that_move_notice_nothing_of_restarts() {
    nobody_notices("--move");
}

#[test]
#[ignore = "needs python3, node and cc with the clients in target/kv-clients"]
fn clients_that_stay_notice_nothing_of_restarts() {
    nobody_notices("--no-move");
}
