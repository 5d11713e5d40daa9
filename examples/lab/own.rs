//! The requests about what each process has its own of: connections to others, what the kernel queues for it, and
//! random numbers. Knows no restart.

use std::{
    env,
    fs::File,
    io::{self, Read, Write},
    net::{TcpStream, UdpSocket},
    os::{
        fd::{AsRawFd, RawFd},
        unix::{net::UnixStream, process::parent_id},
    },
    path::Path,
    process,
    sync::OnceLock,
    time::Duration,
};

use heirloom::{Backoff, PerProcess, Result};
use nix::{
    errno::Errno,
    sys::{
        inotify::{AddWatchFlags, InitFlags, Inotify},
        timerfd::{ClockId, Expiration, TimerFd, TimerFlags, TimerSetTimeFlags},
    },
};

use crate::{
    requests::number,
    settings::{self, setting},
};

/// Connections to `LAB_UPSTREAM`. A client that is dropped says goodbye.
struct Upstream(Vec<TcpStream>, UnixStream);

/// What wakes all loops of the program, as tokio has it: made with the first client, and each has a copy of an end.
fn wakers() -> &'static (UnixStream, UnixStream) {
    static WAKERS: OnceLock<(UnixStream, UnixStream)> = OnceLock::new();
    WAKERS.get_or_init(|| UnixStream::pair().expect("descriptors"))
}

impl Upstream {
    fn connect() -> Result<Upstream> {
        let mut upstream = Upstream(Vec::new(), wakers().0.try_clone()?);
        upstream.add().map(|()| upstream)
    }

    fn add(&mut self) -> Result {
        self.0.push(TcpStream::connect(env::var("LAB_UPSTREAM").unwrap_or_default())?);
        Ok(())
    }

    fn descriptors(&self) -> Vec<RawFd> {
        self.0.iter().map(AsRawFd::as_raw_fd).chain([self.1.as_raw_fd()]).collect()
    }

    /// Says it on each.
    fn say(&mut self, text: &str) -> io::Result<()> {
        self.0.iter_mut().try_for_each(|stream| stream.write_all(format!("{text}\n").as_bytes()))
    }
}

impl Drop for Upstream {
    fn drop(&mut self) {
        let _ = self.say("goodbye");
    }
}

/// What the requests leave behind.
pub struct Own {
    upstream: PerProcess<Upstream>,
    timer: PerProcess<TimerFd>,
    watch: PerProcess<Inotify>,
    /// Has the number of a connection that was lost.
    intruder: Option<UdpSocket>,
    backoff: Backoff,
}

impl Default for Own {
    fn default() -> Own {
        Own {
            upstream: match setting::<u8>("NAMED") {
                Some(_) => PerProcess::with_descriptors(Upstream::connect, Upstream::descriptors),
                None => PerProcess::new(Upstream::connect),
            },
            timer: PerProcess::new(|| {
                let flags = TimerFlags::TFD_NONBLOCK | TimerFlags::TFD_CLOEXEC;
                Ok(TimerFd::new(ClockId::CLOCK_MONOTONIC, flags).map_err(io::Error::from)?)
            }),
            watch: PerProcess::new(|| {
                let flags = InitFlags::IN_NONBLOCK | InitFlags::IN_CLOEXEC;
                Ok(Inotify::init(flags).map_err(io::Error::from)?)
            }),
            intruder: None,
            backoff: backoff(),
        }
    }
}

/// Its delays are long, so that their jitter has many values.
fn backoff() -> Backoff {
    Backoff::new(Duration::from_secs(3600), Duration::from_secs(3600))
}

impl Own {
    /// A request and its answer; `None`: it is none of these.
    pub fn handle(&mut self, verb: &str, rest: &str) -> Result<Option<String>> {
        match verb {
            "up" => self.upstream.get()?.say(rest)?,
            "up-if-made" => match self.upstream.get_made() {
                Some(upstream) => upstream.say(rest)?,
                None => return Ok(Some("none".to_owned())),
            },
            "up-more" => self.upstream.with(Upstream::add)??,
            "wake" => {
                (&wakers().0).write_all(b"x")?;
                (&wakers().1).read_exact(&mut [0])?;
            }
            "up-end" => drop(self.upstream.take()),
            "up-lose" => self.lose_upstream()?,
            "intruder" => {
                let intruder = self.intruder.as_ref().ok_or("nothing was lost")?;
                return Ok(Some(intruder.local_addr()?.to_string()));
            }
            "tick" => {
                let once = Expiration::OneShot(Duration::from_millis(number(rest)?).into());
                let timer = self.timer.get()?;
                timer.set(once, TimerSetTimeFlags::empty()).map_err(io::Error::from)?;
            }
            "ticks" => {
                return Ok(Some(came(self.timer.get()?.wait().map(|()| "tick".to_owned()))?));
            }
            "watch" => {
                let flags = AddWatchFlags::IN_CREATE;
                self.watch.get()?.add_watch(Path::new(rest), flags).map_err(io::Error::from)?;
            }
            "seen" => {
                let events = self.watch.get()?.read_events().map(|events| {
                    let names = events.into_iter().filter_map(|event| event.name);
                    names.map(|name| name.to_string_lossy().into_owned()).collect::<String>()
                });
                return Ok(Some(came(events)?));
            }
            "delay" => return Ok(Some(self.backoff.next_delay().as_nanos().to_string())),
            "new-delay" => return Ok(Some(backoff().next_delay().as_nanos().to_string())),
            "seed" => return Ok(Some(heirloom::fresh_seed().to_string())),
            "rand" => return Ok(Some(rand::random::<u64>().to_string())),
            "fastrand" => return Ok(Some(fastrand::u64(..).to_string())),
            _ => return Ok(None),
        }
        Ok(Some("ok".to_owned()))
    }

    /// The connection is closed, as by a client that notices a failure, and something else gets its number.
    fn lose_upstream(&mut self) -> Result {
        let stream = self.upstream.get()?.0.pop().ok_or("there is no connection")?;
        let number = stream.as_raw_fd();
        drop(stream);
        let intruder = UdpSocket::bind("127.0.0.1:0")?;
        if intruder.as_raw_fd() != number {
            return Err(format!("it has number {} and not {number}", intruder.as_raw_fd()).into());
        }
        self.intruder = Some(intruder);
        Ok(())
    }

    /// In a forked child, with `LAB_RESEED=1`.
    pub fn reseed(&self) -> Result {
        if setting::<u8>("RESEED").is_some() {
            rand::rng().reseed().map_err(|e| e.to_string())?;
            fastrand::seed(heirloom::fresh_seed());
        }
        Ok(())
    }
}

/// What a queue of the kernel had, or `none`.
fn came(read: nix::Result<String>) -> io::Result<String> {
    match read {
        Err(Errno::EAGAIN) => Ok("none".to_owned()),
        read => Ok(read?),
    }
}

/// A line of `LAB_CALLBACKS`, where both sides of a restart write down what is called. It stays open: a test may take
/// all descriptors away. In a scribe it does not, and what that does it does for its parent.
pub fn note(callback: &str) {
    static FILE: OnceLock<Option<File>> = OnceLock::new();
    let open = || {
        let path = env::var_os("LAB_CALLBACKS")?;
        Some(File::options().create(true).append(true).open(path).expect("a file"))
    };
    let Some(mut file) = FILE.get_or_init(open).as_ref() else { return };
    let line = format!("{} {callback}\n", process::id());
    if file.write_all(line.as_bytes()).is_err() {
        let line = format!("{} {callback}\n", parent_id());
        let mut file = open().expect("it was there before");
        file.write_all(line.as_bytes()).expect("room for a line");
    }
}

/// The beginning of a callback around a fork, which may be told to refuse.
pub fn enter(callback: &str) -> Result {
    note(callback);
    settings::panic_if_told(callback);
    match settings::told() {
        Some(told) if told == format!("refuse in {callback}") => Err("lab: as told".into()),
        _ => Ok(()),
    }
}
