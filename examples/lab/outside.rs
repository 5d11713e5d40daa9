//! What comes from outside and is no client: signals, and descriptors that are watched. Knows no connection.
//!
//! - `LAB_SIGNALS=FILE`: the numbers of signals that are the service's, one a line, as they are when a program starts.
//! - `LAB_HANDLES=main` (or `start`): from then on there is a handler for `SIGUSR1`, by `sigaction(2)`.
//! - `LAB_WATCH_DIR=DIR`: each process has an inotify for what is written and moved there, and reads `config`.
//! - `LAB_HAND_ON=1`: what is watched goes from a forked process to its child. Otherwise it stays.
//!
//! All of it is journaled: `signal 10`, `file NAME`, `config TEXT`, `rung 3`, `ticks 2`, `tty TEXT`, `child TEXT`.

use std::{
    env, fs,
    fs::{File, OpenOptions},
    io::{ErrorKind, Read},
    os::{
        fd::OwnedFd,
        unix::{fs::OpenOptionsExt, net::UnixStream},
    },
    path::PathBuf,
    process::{self, Child, Command, Stdio},
    time::{Duration, Instant},
};

use heirloom::{Error, Interest, Net, Readiness, Result, Server, Start, Watch};
use nix::sys::{
    eventfd::{EfdFlags, EventFd},
    inotify::{AddWatchFlags, InitFlags, Inotify},
    timerfd::{ClockId, Expiration, TimerFd, TimerFlags, TimerSetTimeFlags},
};

use crate::{Lab, beyond::journal, holding, requests::number, settings::setting};

const DIRECTORY: Watch = Watch(1);
const EVENT: Watch = Watch(2);
const TIMER: Watch = Watch(3);
const TTY: Watch = Watch(4);
const CHILD: Watch = Watch(5);
const SPIN: Watch = Watch(6);

/// What is watched, or was.
#[derive(Default)]
pub struct Outside {
    directory: Option<Inotify>,
    event: Option<EventFd>,
    /// Since when it runs, and how often it goes off.
    timer: Option<(TimerFd, Instant, Duration)>,
    tty: Option<File>,
    child: Option<(UnixStream, Child)>,
    /// Nobody reads it.
    always: Option<EventFd>,
    spins: u64,
}

/// Makes the signals that `LAB_SIGNALS` names the service's; a wrong one ends the program.
pub fn claim(mut server: Server<Lab>) -> Server<Lab> {
    let list = env::var("LAB_SIGNALS").ok().and_then(|path| fs::read_to_string(path).ok());
    for line in list.unwrap_or_default().lines() {
        server = server.signal(line.parse().expect("a number")).unwrap_or_else(|e| {
            eprintln!("lab: {e}");
            process::exit(2)
        });
    }
    server
}

/// Handles `SIGUSR1` from here on, if this is when.
pub fn handle_if_told(when: &str) {
    if setting::<String>("HANDLES").as_deref() == Some(when) {
        holding::handle_usr1();
    }
}

fn hands_on() -> bool {
    setting::<u8>("HAND_ON").is_some()
}

fn directory() -> Option<PathBuf> {
    env::var_os("LAB_WATCH_DIR").map(PathBuf::from)
}

impl Outside {
    pub fn start(&mut self, net: &mut Net, start: &Start) {
        handle_if_told("start");
        if env::var_os("LAB_SIGNALS").is_some() {
            journal(net, "start"); // which signals come behind
        }
        if hands_on() && *start != Start::Fresh {
            self.watch_all(net).expect("they were watched before");
        }
        if self.directory.is_none() || !hands_on() {
            self.watch_directory(net).expect("a directory");
        }
    }

    pub fn retire(&mut self, net: &mut Net) {
        net.unwatch(DIRECTORY);
        if hands_on() {
            net.watches().into_iter().for_each(|key| net.unwatch(key));
        } else {
            self.directory = None;
        }
    }

    fn watch_all(&self, net: &mut Net) -> Result {
        let Outside { directory, event, timer, tty, child, .. } = self;
        let readable = Interest::READABLE;
        directory.iter().try_for_each(|it| net.watch(it, readable, DIRECTORY))?;
        event.iter().try_for_each(|it| net.watch(it, readable, EVENT))?;
        timer.iter().try_for_each(|(it, ..)| net.watch(it, readable, TIMER))?;
        tty.iter().try_for_each(|it| net.watch(it, readable, TTY))?;
        child.iter().try_for_each(|(it, _)| net.watch(it, readable, CHILD))
    }

    fn watch_directory(&mut self, net: &mut Net) -> Result {
        let Some(path) = directory() else { return Ok(()) };
        let flags = InitFlags::IN_NONBLOCK | InitFlags::IN_CLOEXEC;
        let changes = Inotify::init(flags).map_err(Error::other)?;
        let written = AddWatchFlags::IN_CLOSE_WRITE | AddWatchFlags::IN_MOVED_TO;
        changes.add_watch(&path, written).map_err(Error::other)?;
        net.watch(&changes, Interest::READABLE, DIRECTORY)?;
        self.directory = Some(changes);
        read_config(net);
        Ok(())
    }

    /// A request and its answer; `None`: it is none of these.
    pub fn handle(&mut self, net: &mut Net, verb: &str, rest: &str) -> Result<Option<String>> {
        let (kind, what) = rest.split_once(' ').unwrap_or((rest, ""));
        match verb {
            "heed" => self.heed(net, kind, what)?,
            "unwatch" => net.unwatch(Watch(number(rest)?)),
            "watches" => {
                let keys = net.watches().into_iter().map(|key| key.0.to_string());
                return Ok(Some(keys.collect::<Vec<_>>().join(",")));
            }
            "ring" => drop(self.event.as_ref().ok_or("no event")?.write(number(rest)?)),
            // Since it was set, so often it has gone off.
            "beats" => {
                let (_, since, every) = self.timer.as_ref().ok_or("no timer")?;
                return Ok(Some((since.elapsed().as_micros() / every.as_micros()).to_string()));
            }
            "spins" => return Ok(Some(self.spins.to_string())),
            "handled" => return Ok(Some(holding::handled().to_string())),
            _ => return Ok(None),
        }
        Ok(Some("ok".to_owned()))
    }

    fn heed(&mut self, net: &mut Net, kind: &str, what: &str) -> Result {
        let flags = EfdFlags::EFD_NONBLOCK | EfdFlags::EFD_CLOEXEC;
        let event = |value| EventFd::from_value_and_flags(value, flags);
        match kind {
            "event" => {
                let event = self.event.insert(event(0).map_err(Error::other)?);
                net.watch(event, Interest::READABLE, EVENT)
            }
            "spin" => {
                let always = self.always.insert(event(1).map_err(Error::other)?);
                net.watch(always, Interest::READABLE, SPIN)
            }
            "timer" => {
                let flags = TimerFlags::TFD_NONBLOCK | TimerFlags::TFD_CLOEXEC;
                let timer = TimerFd::new(ClockId::CLOCK_MONOTONIC, flags).map_err(Error::other)?;
                let every = Duration::from_millis(number(what)?);
                let (timer, ..) = self.timer.insert((timer, Instant::now(), every));
                let beat = Expiration::Interval(every.into());
                timer.set(beat, TimerSetTimeFlags::empty()).map_err(Error::other)?;
                net.watch(timer, Interest::READABLE, TIMER)
            }
            "tty" => {
                let mut options = OpenOptions::new();
                options.read(true).write(true).custom_flags(libc::O_NONBLOCK | libc::O_NOCTTY);
                let tty = self.tty.insert(options.open(what)?);
                net.watch(tty, Interest::READABLE, TTY)
            }
            "child" => {
                let (ours, theirs) = UnixStream::pair()?;
                ours.set_nonblocking(true)?;
                let theirs = OwnedFd::from(theirs);
                let mut command = Command::new("sh");
                command.args(["-c", what]).stdin(theirs.try_clone()?).stdout(theirs);
                let child = command.stderr(Stdio::inherit()).spawn()?;
                let (ours, _) = self.child.insert((ours, child));
                net.watch(ours, Interest::READABLE, CHILD)
            }
            path => net.watch(File::open(path)?, Interest::READABLE, Watch(9)),
        }
    }

    pub fn ready(&mut self, net: &mut Net, key: Watch, ready: Readiness) {
        match key {
            DIRECTORY => self.read_directory(net),
            EVENT => {
                let count = self.event.as_ref().and_then(|event| event.read().ok());
                count.iter().for_each(|count| journal(net, &format!("rung {count}")));
            }
            TIMER => {
                // What `wait` of this type does not tell: how often it has gone off since.
                let mut count = [0; 8];
                let timer = self.timer.as_ref().map(|(timer, ..)| timer);
                if timer.is_some_and(|timer| nix::unistd::read(timer, &mut count).is_ok()) {
                    journal(net, &format!("ticks {}", u64::from_ne_bytes(count)));
                }
            }
            TTY => {
                let read = read_some(&mut self.tty.as_ref());
                tell(net, "tty", read, ready, key);
            }
            CHILD => {
                let read = read_some(&mut self.child.as_ref().map(|(stream, _)| stream));
                let goes_on = tell(net, "child", read, ready, key);
                if !goes_on && let Some((_, mut child)) = self.child.take() {
                    let _ = child.wait(); // it has closed both, and ends
                }
            }
            SPIN => self.spins += 1,
            _ => {}
        }
    }

    fn read_directory(&self, net: &mut Net) {
        let events = self.directory.as_ref().and_then(|changes| changes.read_events().ok());
        for name in events.into_iter().flatten().filter_map(|event| event.name) {
            if name == "config" {
                read_config(net);
            } else {
                journal(net, &format!("file {}", name.display()));
            }
        }
    }
}

fn read_config(net: &Net) {
    let path = directory().map(|directory| directory.join("config"));
    if let Some(text) = path.and_then(|path| fs::read_to_string(path).ok()) {
        journal(net, &format!("config {text}"));
    }
}

/// What there is; an error is an end.
fn read_some(from: &mut Option<impl Read>) -> Option<String> {
    let mut bytes = [0; 1024];
    match from.as_mut()?.read(&mut bytes) {
        Ok(count) => Some(String::from_utf8_lossy(&bytes[..count]).trim_end().to_owned()),
        Err(e) if e.kind() == ErrorKind::WouldBlock => Some("nothing".to_owned()),
        Err(_) => Some(String::new()),
    }
}

/// Journals what was read, and whether it was the end: of that it would be told again and again.
fn tell(net: &mut Net, who: &str, read: Option<String>, ready: Readiness, key: Watch) -> bool {
    let text = read.unwrap_or_default();
    let goes_on = !text.is_empty();
    let hangup = if ready.is_hangup() { " hangup" } else { "" };
    let what = if goes_on { text } else { format!("end{hangup}") };
    journal(net, &format!("{who} {what}"));
    if !goes_on {
        net.unwatch(key);
    }
    goes_on
}
