//! The operator's side in tests: a lab with a control socket, asked as `nc -U` would or through the
//! program `heirloom`. Knows the form of replies, not what they should say.

use std::{
    collections::BTreeMap,
    fs,
    io::{self, BufRead, BufReader, Read, Write},
    ops::{Deref, DerefMut},
    os::unix::net::UnixStream,
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
    sync::atomic::{AtomicBool, Ordering},
};

use super::{
    Client, DEADLINE, Dir, Server, Setup,
    restart::{Engine, Lab, Who, is_stopped, zombies_of},
    wait_for,
};

/// A lab with a control socket, `control` in a directory of its own.
pub struct Operated {
    lab: Lab,
    files: Dir,
}

impl Deref for Operated {
    type Target = Lab;

    fn deref(&self) -> &Lab {
        &self.lab
    }
}

impl DerefMut for Operated {
    fn deref_mut(&mut self) -> &mut Lab {
        &mut self.lab
    }
}

impl Operated {
    /// Its probation lasts `millis`; the rest is as `adjust` says.
    pub fn with(millis: u64, adjust: impl FnOnce(Setup) -> Setup) -> Operated {
        Operated::started(millis, |setup| adjust(setup).start())
    }

    /// The same, where `start` does the starting as well.
    pub fn started(millis: u64, start: impl FnOnce(Setup) -> Server) -> Operated {
        let files = Dir::new();
        let control = files.path("control").display().to_string();
        let lab = Lab::started(|setup| {
            start(setup.arg("--control").arg(control).env("LAB_PROBATION", millis))
        });
        Operated { lab, files }
    }

    pub fn control(&self) -> PathBuf {
        self.files.path("control")
    }

    /// One request on a connection of its own; the lines of the reply.
    pub fn request(&self, line: &str) -> Vec<String> {
        Control::connect(&self.control()).expect("the control socket is there").ask(line)
    }

    /// Runs the program.
    pub fn heirloom(&self, args: &[&str]) -> Ran {
        Ran::of(heirloom(&self.control()).args(args).output().expect("the program runs"))
    }

    /// Runs the program, which is to wait for a verdict, while the test goes on.
    pub fn heirloom_later(&self, args: &[&str]) -> Running {
        let mut command = heirloom(&self.control());
        command.args(args).stdout(Stdio::piped()).stderr(Stdio::piped());
        Running(command.spawn().expect("the program runs"))
    }

    /// What the status says of each generation: also of several workers, which its first line counts instead.
    pub fn rows(&self) -> Vec<Row> {
        self.request("status")[1..].iter().map(|line| Row::read(line)).collect()
    }

    /// The generations, the newest first.
    pub fn status(&self) -> Vec<Row> {
        let lines = self.request("status");
        let count: usize = lines[0].split(' ').nth(1).expect(&lines[0]).parse().expect("a count");
        assert_eq!(count, lines.len() - 1, "{lines:?}");
        lines[1..].iter().map(|line| Row::read(line)).collect()
    }
}

/// The program, pointed at a server.
pub fn heirloom(control: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_heirloom"));
    command.arg("--control").arg(control).stdin(Stdio::null());
    command
}

/// What the program has said.
#[derive(Debug)]
pub struct Ran {
    pub status: Option<i32>,
    pub out: String,
    pub err: String,
}

impl Ran {
    pub fn of(output: Output) -> Ran {
        let text = |bytes| String::from_utf8(bytes).expect("text");
        Ran { status: output.status.code(), out: text(output.stdout), err: text(output.stderr) }
    }
}

/// The program at work.
pub struct Running(std::process::Child);

impl Running {
    pub fn wait(self) -> Ran {
        Ran::of(self.0.wait_with_output().expect("the program runs"))
    }
}

/// A line of a status.
#[derive(Debug)]
pub struct Row(BTreeMap<String, String>);

impl Row {
    pub fn read(line: &str) -> Row {
        let pairs = line.split(' ').map(|pair| pair.split_once('=').expect(line));
        Row(pairs.map(|(name, value)| (name.to_owned(), value.to_owned())).collect())
    }

    pub fn get(&self, name: &str) -> &str {
        self.0.get(name).unwrap_or_else(|| panic!("no {name} in {self:?}"))
    }

    pub fn pid(&self) -> i32 {
        self.get("pid").parse().expect("a pid")
    }
}

/// The control socket as `nc -U` has it.
pub struct Control {
    pub stream: UnixStream,
    reader: BufReader<UnixStream>,
}

impl Control {
    pub fn connect(path: &Path) -> io::Result<Control> {
        let stream = UnixStream::connect(path)?;
        stream.set_read_timeout(Some(DEADLINE))?;
        let reader = BufReader::new(stream.try_clone()?);
        Ok(Control { stream, reader })
    }

    pub fn send(&mut self, bytes: impl AsRef<[u8]>) {
        self.stream.write_all(bytes.as_ref()).expect("the server takes it");
    }

    /// The lines of the next reply, without the empty one that ends it.
    pub fn reply(&mut self) -> Vec<String> {
        let mut lines = Vec::new();
        loop {
            let mut line = String::new();
            self.reader.read_line(&mut line).expect("a line in time");
            assert!(line.ends_with('\n'), "it ended after {lines:?} {line:?}");
            match line.trim_end() {
                "" => return lines,
                text => lines.push(text.to_owned()),
            }
        }
    }

    pub fn ask(&mut self, line: &str) -> Vec<String> {
        self.send(format!("{line}\n"));
        self.reply()
    }

    /// Up to the server's FIN.
    pub fn read_to_end(&mut self) -> String {
        let mut text = String::new();
        self.reader.read_to_string(&mut text).expect("the end in time");
        text
    }
}

/// Sets a flag when the test is through, also when it fails: whoever waits for it must not wait for ever.
pub struct AtEnd<'a>(pub &'a AtomicBool);

impl Drop for AtEnd<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// Who answers a new client, if it is answered at all within the deadline.
pub fn newcomer(lab: &Lab) -> Who {
    Client::connect(&lab.address).who()
}

/// Waits until one generation is left, and makes sure that it alone answers new clients and has nothing
/// of the others: no process, no zombie. Answers who it is.
pub fn wait_settled(lab: &Lab) -> Who {
    wait_for("one generation to be left", || lab.generations().len() == 1);
    let who = newcomer(lab);
    assert_eq!(lab.generations(), [who.pid]);
    assert_eq!(lab.pid(), who.pid, "the pid file names another one");
    for _ in 0..20 {
        assert_eq!(newcomer(lab), who, "two generations accept");
    }
    assert_eq!(zombies_of(who.pid), [0; 0]);
    who
}

/// The processes of the server that are stopped.
pub fn stopped(lab: &Lab) -> Vec<i32> {
    lab.generations().into_iter().filter(|&pid| is_stopped(pid)).collect()
}

/// Restarts, and waits for the old process to end.
pub fn restart_to_the_end(lab: &Lab, engine: Engine) -> Who {
    let old = lab.pid();
    lab.restart_by(engine);
    super::wait_gone(old);
    wait_settled(lab)
}

/// The names in a directory, in order.
pub fn names(dir: &Path) -> Vec<String> {
    let entries = fs::read_dir(dir).expect("a directory").flatten();
    let mut names: Vec<_> =
        entries.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect();
    names.sort();
    names
}
