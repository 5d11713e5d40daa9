//! What others offer who have their state in memory: redis writes it to a file, ends, and reads it when it is
//! started again; memcached keeps it in a file in memory (`-e`), which the next one maps. Nobody listens meanwhile.

use std::{
    fs, io,
    ops::Range,
    os::unix::process::CommandExt,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};

use super::{
    asker::Asker,
    client::{Client, pieces},
    keys,
    ledger::{Exchange, Ledger, TEXT, text},
    question,
};
use crate::common::process::{free_address, rollup};

/// In memory, so that no disk is waited for.
const FOLDER: &str = "/dev/shm";

/// For a program to begin, and to end.
const PATIENCE: Duration = Duration::from_secs(120);

/// Before the restart, and after it.
const LOOK: Duration = Duration::from_millis(300);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rival {
    Redis,
    Memcached,
}

pub const RIVALS: [Rival; 2] = [Rival::Redis, Rival::Memcached];

/// One restart.
#[derive(Clone, Copy, Debug)]
pub struct Sample {
    /// The longest time from one answer to the next.
    pub gap: Duration,
    /// Times that the client was refused, cut off, or told to come later.
    pub failed: u64,
    /// Bytes, before it.
    pub memory: u64,
}

impl Rival {
    pub fn name(self) -> &'static str {
        match self {
            Rival::Redis => "redis, SHUTDOWN SAVE and start",
            Rival::Memcached => "memcached, warm restart (-e)",
        }
    }

    /// What is missing to measure it.
    pub fn lacks(self) -> Option<&'static str> {
        let program = self.program();
        let ran = Command::new(program).arg("--version").stdout(Stdio::null()).status();
        (!ran.is_ok_and(|status| status.success())).then_some(program)
    }

    fn program(self) -> &'static str {
        match self {
            Rival::Redis => "redis-server",
            Rival::Memcached => "memcached",
        }
    }

    /// Fills one with so many keys, and restarts it once.
    pub fn measure(self, count: usize) -> io::Result<Sample> {
        let mut server = Server::start(self, count)?;
        let (mut ledger, mut asked) = keys(count);
        let question = server.fill(&mut ledger, &mut asked)?;
        let memory = rollup(server.child.id(), "Pss:");
        let asker = Asker::start(&server.address, question, true)?;
        thread::sleep(LOOK);
        asker.longest();
        let pause = server.restart()?;
        thread::sleep(LOOK);
        let failed = asker.failed();
        let gap = asker.stop()?.saturating_sub(pause);
        let mut client = Client::connect(&server.address)?;
        match self {
            Rival::Redis => client.check(&ledger)?,
            Rival::Memcached => pieces(count).try_for_each(|piece| client.talk(&gets(piece)))?,
        }
        Ok(Sample { gap, failed, memory })
    }
}

struct Server {
    rival: Rival,
    child: Child,
    address: String,
    folder: PathBuf,
    megabytes: usize,
}

impl Server {
    fn start(rival: Rival, count: usize) -> io::Result<Server> {
        let folder = Path::new(FOLDER).join(format!("heirloom-bench-{}", std::process::id()));
        fs::create_dir_all(&folder)?;
        let (address, megabytes) = (free_address()?, 256 + count / 2000);
        let child = run(rival, &address, &folder, megabytes)?;
        let server = Server { rival, child, address, folder, megabytes };
        server.await_start()?;
        Ok(server)
    }

    fn await_start(&self) -> io::Result<()> {
        let ping = match self.rival {
            Rival::Redis => Exchange { request: b"PING\n".into(), answer: b"+PONG\r\n".into() },
            Rival::Memcached => Exchange { request: b"mn\r\n".into(), answer: b"MN\r\n".into() },
        };
        let begun = Instant::now();
        while let Err(e) = Client::connect(&self.address).and_then(|mut client| client.talk(&ping))
        {
            if begun.elapsed() > PATIENCE {
                return Err(e);
            }
            thread::sleep(Duration::from_millis(2));
        }
        Ok(())
    }

    /// Writes each key once, and answers how to ask for the one that stays as it is.
    fn fill(&self, ledger: &mut Ledger, asked: &mut Ledger) -> io::Result<Exchange> {
        let mut client = Client::connect(&self.address)?;
        if self.rival == Rival::Redis {
            client.write(ledger)?;
            client.write(asked)?;
            return Ok(question(asked));
        }
        pieces(ledger.texts()).try_for_each(|piece| client.talk(&sets(piece)))?;
        Ok(gets(0..1))
    }

    /// As its manual has it: ends it so that it keeps its state, and starts it again. Answers a pause between
    /// the two that is not its own: memcached 1.6.18 takes what it has kept for incompatible, and begins with
    /// nothing, if it is started in the second in which it was stopped.
    fn restart(&mut self) -> io::Result<Duration> {
        match self.rival {
            Rival::Redis => {
                let request = b"SHUTDOWN SAVE\n".into();
                // Its answer is that it goes.
                let _ = Client::connect(&self.address)?
                    .talk(&Exchange { request, answer: b"+".into() });
            }
            Rival::Memcached => kill(Pid::from_raw(self.child.id() as i32), Signal::SIGUSR1)?,
        }
        self.child.wait()?;
        let (ended, second) = (Instant::now(), unix_second());
        while self.rival == Rival::Memcached && unix_second() <= second {
            thread::sleep(Duration::from_millis(1));
        }
        let pause = ended.elapsed();
        self.child = run(self.rival, &self.address, &self.folder, self.megabytes)?;
        self.await_start().map(|()| pause)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        let _ = fs::remove_dir_all(&self.folder);
    }
}

fn unix_second() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |time| time.as_secs())
}

/// memcached's words for keys that are written once.
fn sets(numbers: Range<usize>) -> Exchange {
    let mut exchange = Exchange::default();
    for number in numbers {
        exchange.request.extend(format!("set k{number:09} 0 0 {TEXT}\r\n").into_bytes());
        exchange.request.extend(text(number as u64, 1));
        exchange.request.extend(b"\r\n");
        exchange.answer.extend(b"STORED\r\n");
    }
    exchange
}

/// And for what they hold.
fn gets(numbers: Range<usize>) -> Exchange {
    let mut exchange = Exchange::default();
    for number in numbers {
        exchange.request.extend(format!("get k{number:09}\r\n").into_bytes());
        exchange.answer.extend(format!("VALUE k{number:09} 0 {TEXT}\r\n").into_bytes());
        exchange.answer.extend(text(number as u64, 1));
        exchange.answer.extend(b"\r\nEND\r\n");
    }
    exchange
}

fn run(rival: Rival, address: &str, folder: &Path, megabytes: usize) -> io::Result<Child> {
    let port = address.rsplit(':').next().unwrap_or_default();
    let mut command = Command::new(rival.program());
    match rival {
        Rival::Redis => {
            command.args(["--bind", "127.0.0.1", "--port", port, "--save", "", "--dir"]).arg(folder)
        }
        Rival::Memcached => command
            .args(["-u", "root", "-l", "127.0.0.1", "-U", "0", "-p", port, "-m"])
            .arg(megabytes.to_string())
            .arg("-e")
            .arg(folder.join("items")),
    };
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    command.process_group(0).spawn()
}
