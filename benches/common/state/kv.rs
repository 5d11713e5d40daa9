//! The example `kv` as a process, of this build or of another one: black box but for its control socket.

use std::{
    collections::BTreeMap,
    fs,
    io::{self, BufRead, BufReader, Write},
    os::unix::{net::UnixStream, process::CommandExt},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::atomic::{AtomicU32, Ordering},
    thread,
    time::{Duration, Instant},
};

use nix::{
    sys::signal::{Signal, killpg},
    unistd::Pid,
};

use super::{client::Client, ledger::Ledger};
use crate::common::process::free_address;

/// For it to begin, and for a verdict.
const PATIENCE: Duration = Duration::from_secs(120);

/// In seconds.
const PROBATION: &str = "0.2";

/// All its generations are in one process group, and end with this value.
pub struct Kv {
    child: Child,
    pub address: String,
    control: PathBuf,
}

/// How a restart went, in the words of the control socket.
#[derive(Debug)]
pub struct Verdict {
    pub outcome: Result<(), String>,
    /// What it says beside, by name.
    pub said: BTreeMap<String, String>,
}

impl Verdict {
    /// A time, in milliseconds.
    pub fn millis(&self, name: &str) -> Option<f64> {
        self.said.get(name)?.strip_suffix("ms")?.parse().ok()
    }
}

impl Kv {
    /// Starts it, and fills it with these keys.
    pub fn start<'a>(
        program: &Path,
        ledgers: impl IntoIterator<Item = &'a mut Ledger>,
    ) -> io::Result<Kv> {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let name = format!("heirloom-state-{}-{number}.sock", std::process::id());
        let (address, control) = (free_address()?, std::env::temp_dir().join(name));
        let mut command = Command::new(program);
        command.args(["--listen", &address, "--move", "--probation", PROBATION, "--control"]);
        command.arg(&control).env("RUST_LOG", "error").process_group(0);
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let child = command.spawn().map_err(|e| {
            io::Error::new(e.kind(), format!("start {} (is it built?): {e}", program.display()))
        })?;
        let kv = Kv { child, address, control };
        let begun = Instant::now();
        let mut client = loop {
            match Client::connect(&kv.address) {
                Ok(client) => break client,
                Err(e) if begun.elapsed() > PATIENCE => return Err(e),
                Err(_) => thread::sleep(Duration::from_millis(5)),
            }
        };
        for ledger in ledgers {
            client.write(ledger)?;
        }
        Ok(kv)
    }

    /// The process id of the first generation, and of the group.
    pub fn first(&self) -> u32 {
        self.child.id()
    }

    /// Restarts it, and waits for the verdict.
    pub fn restart(&self, engine: &str) -> io::Result<Verdict> {
        let mut control = BufReader::new(UnixStream::connect(&self.control)?);
        control.get_ref().set_read_timeout(Some(PATIENCE))?;
        control.get_mut().write_all(format!("restart {engine}\n").as_bytes())?;
        let lines =
            control.lines().take_while(|line| line.as_ref().map_or(true, |l| !l.is_empty()));
        let lines = lines.collect::<io::Result<Vec<_>>>()?;
        let (first, rest) = lines.split_first().ok_or(io::ErrorKind::UnexpectedEof)?;
        let outcome = match first.strip_prefix("error: ") {
            Some(why) => Err(why.to_owned()),
            None => Ok(()),
        };
        let said = rest.iter().filter_map(|line| line.split_once('='));
        let said = said.map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
        Ok(Verdict { outcome, said })
    }
}

/// The processes of a group that live, in ascending order.
pub fn pids_of(group: u32) -> Vec<u32> {
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    let pids = entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    let mut pids: Vec<u32> = pids.filter(|&pid| is_of(pid, group)).collect();
    pids.sort_unstable();
    pids
}

/// Whether a process is one of a group, and has not ended.
fn is_of(pid: u32, group: u32) -> bool {
    let text = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    let mut words = text.rsplit(") ").next().unwrap_or_default().split(' ');
    let (state, _parent, its) = (words.next(), words.next(), words.next());
    !matches!(state, Some("Z" | "X")) && its == Some(&group.to_string())
}

impl Drop for Kv {
    fn drop(&mut self) {
        // The group is ours: `start` made it.
        let _ = killpg(Pid::from_raw(self.child.id() as i32), Signal::SIGKILL);
        let _ = self.child.wait();
        let _ = fs::remove_file(&self.control);
    }
}
