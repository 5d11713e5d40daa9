//! Processes under measurement: where they run, the time that they take, and the memory. Knows no server.

use std::{
    env, fs,
    io::{self, Read, Write},
    net::{TcpListener, TcpStream},
    path::Path,
    process::{Child, Command},
    thread,
    time::{Duration, Instant},
};

use nix::{
    sched::{CpuSet, sched_getaffinity, sched_setaffinity},
    sys::{
        resource::{Resource, getrlimit, setrlimit},
        signal::{Signal, kill},
    },
    unistd::Pid,
};

/// How long a server may take to begin.
const PATIENCE: Duration = Duration::from_secs(5);

/// The core of the servers, and that of the load.
#[derive(Clone, Copy)]
pub struct Cores {
    pub server: usize,
    pub load: usize,
}

impl Cores {
    /// The first two cores that this process may use.
    pub fn find() -> Option<Cores> {
        let allowed = sched_getaffinity(Pid::this()).ok()?;
        let mut free = (0..CpuSet::count()).filter(|&core| allowed.is_set(core).unwrap_or(false));
        Some(Cores { load: free.next()?, server: free.next()? })
    }

    /// Lets this process, and what it starts from now on, use both.
    pub fn unpin(self) -> nix::Result<()> {
        let mut set = CpuSet::new();
        set.set(self.load)?;
        set.set(self.server)?;
        sched_setaffinity(Pid::this(), &set)
    }
}

/// Moves this process, and what it starts from now on, to a core.
pub fn pin(core: usize) -> nix::Result<()> {
    let mut set = CpuSet::new();
    set.set(core)?;
    sched_setaffinity(Pid::this(), &set)
}

/// Lets this process have as many descriptors as it may.
pub fn allow_descriptors() -> nix::Result<()> {
    let (_, hard) = getrlimit(Resource::RLIMIT_NOFILE)?;
    setrlimit(Resource::RLIMIT_NOFILE, hard, hard)
}

/// An address of the loopback that nobody has now.
pub fn free_address() -> io::Result<String> {
    Ok(TcpListener::bind("127.0.0.1:0")?.local_addr()?.to_string())
}

/// An example that was built before, in the profile of the benchmarks.
pub fn example(name: &str) -> Command {
    let me = env::current_exe().unwrap_or_default(); // target/release/deps/...
    let profile = me.ancestors().nth(2).unwrap_or(Path::new("."));
    Command::new(profile.join("examples").join(name))
}

/// A server at work. It ends with this value.
pub struct Running {
    child: Child,
    pub address: String,
}

impl Running {
    /// Starts a program on the servers' core and waits until it accepts.
    pub fn start(mut command: Command, address: &str, cores: Option<Cores>) -> io::Result<Running> {
        if let Some(cores) = cores {
            pin(cores.server)?;
        }
        let child = command.spawn();
        if let Some(cores) = cores {
            pin(cores.load)?;
        }
        let child = child.map_err(|e| {
            let program = Path::new(command.get_program());
            io::Error::new(e.kind(), format!("start {} (is it built?): {e}", program.display()))
        })?;
        let running = Running { child, address: address.to_owned() };
        let begun = Instant::now();
        while TcpStream::connect(address).is_err() {
            if begun.elapsed() > PATIENCE {
                return Err(io::Error::other(format!("nobody accepts on {address}")));
            }
            thread::sleep(Duration::from_millis(10));
        }
        Ok(running)
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// The workers of a master.
    pub fn children(&self) -> Vec<u32> {
        self.pids().split_off(1)
    }

    /// It and its descendants: the workers of a master.
    fn pids(&self) -> Vec<u32> {
        let mut pids = vec![self.child.id()];
        let mut at = 0;
        while at < pids.len() {
            let pid = pids[at];
            let children = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children"));
            pids.extend(
                children.unwrap_or_default().split_whitespace().flat_map(str::parse::<u32>),
            );
            at += 1;
        }
        pids
    }

    /// The time that all its threads have spent on a core, in the kernel and outside (`schedstat`, in
    /// nanoseconds, where `stat` has hundredths of seconds).
    pub fn cpu_time(&self) -> Duration {
        let mut nanos = 0;
        for pid in self.pids() {
            for task in fs::read_dir(format!("/proc/{pid}/task")).into_iter().flatten().flatten() {
                let text = fs::read_to_string(task.path().join("schedstat")).unwrap_or_default();
                nanos += text.split(' ').next().and_then(|word| word.parse().ok()).unwrap_or(0);
            }
        }
        Duration::from_nanos(nanos)
    }

    /// Bytes of memory that are not a file's: heap, stacks, what was allocated.
    pub fn memory(&self) -> u64 {
        self.pids().into_iter().map(|pid| rollup(pid, "Anonymous:")).sum()
    }

    /// A connection that has had one reply, and stays. Knows no protocol, so whatever comes is the reply; the load
    /// compares.
    pub fn connect_and_ask(&self, request: &[u8]) -> io::Result<TcpStream> {
        let mut stream = TcpStream::connect(&self.address)?;
        stream.write_all(request)?;
        match stream.read(&mut [0; 4096])? {
            0 => Err(io::ErrorKind::UnexpectedEof.into()),
            _ => Ok(stream),
        }
    }

    /// One request by itself.
    ///
    /// # Errors
    /// When nothing comes back.
    pub fn ask(&self, request: &[u8]) -> io::Result<Vec<u8>> {
        let mut stream = TcpStream::connect(&self.address)?;
        stream.set_read_timeout(Some(Duration::from_millis(200)))?;
        stream.write_all(request)?;
        let (mut all, mut buffer) = (Vec::new(), [0; 4096]);
        loop {
            match stream.read(&mut buffer) {
                Ok(0) => break,
                Ok(count) => all.extend_from_slice(&buffer[..count]),
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => break,
                Err(e) => return Err(e),
            }
        }
        if all.is_empty() { Err(io::ErrorKind::UnexpectedEof.into()) } else { Ok(all) }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let others = self.children();
        let _ = self.child.kill();
        let _ = self.child.wait();
        for &pid in &others {
            let _ = kill(Pid::from_raw(pid as i32), Signal::SIGKILL);
        }
        // The next server would find its pid file held by one of them.
        let (begun, lives) =
            (Instant::now(), |pid: &u32| Path::new(&format!("/proc/{pid}/fd/0")).exists());
        while others.iter().any(lives) && begun.elapsed() < PATIENCE {
            thread::sleep(Duration::from_millis(1));
        }
    }
}

/// A line of `smaps_rollup`, in bytes; 0 where there is none.
pub fn rollup(pid: u32, name: &str) -> u64 {
    let text = fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).unwrap_or_default();
    let line = text.lines().find_map(|line| line.strip_prefix(name));
    let kilobytes = line.and_then(|rest| rest.split_whitespace().next()?.parse::<u64>().ok());
    kilobytes.unwrap_or(0) * 1024
}
