//! One restart of the `lab` example after another, measured from outside and by its own word.

use std::{
    fs,
    io::{self, BufRead, BufReader, Write},
    net::TcpStream,
    os::unix::net::UnixStream,
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use crate::{
    common::process::{Cores, Running, example, free_address, rollup},
    rivals::huge_share,
    until_heeded,
};

/// For anything to happen that should.
const PATIENCE: Duration = Duration::from_secs(30);

/// No heap is so large that it is prepared: `prepared` has those.
const UNPREPARED: &str = "1000000000000 1 2";

/// What is measured: an engine as the control socket calls it, and how much there is to take along.
#[derive(Clone, Copy, Debug)]
pub struct Case {
    pub engine: &'static str,
    pub megabytes: usize,
    pub connections: usize,
}

/// One restart: times in milliseconds from the trigger on, memory in MiB.
#[derive(Clone, Copy, Debug, Default)]
pub struct Sample {
    /// The old process made the new one, and did nothing else.
    pub stall: f64,
    pub ready: f64,
    /// A client had an answer of the new process.
    pub answer: f64,
    /// The longest that a client of the old process waited for an answer meanwhile.
    pub wait: f64,
    /// What the new process shares with nobody any more.
    pub private: f64,
    /// Its fair share of everything (`Pss`).
    pub pss: f64,
    /// The percentage of the old one's memory that lay in huge pages.
    pub huge: f64,
}

/// A line to the server, and its answer. Not the load client of `examples/common`, which sets a deadline before each
/// step: those system calls would be part of each wait that is measured.
pub struct Client {
    reader: BufReader<TcpStream>,
}

impl Client {
    pub fn connect(address: &str) -> io::Result<Client> {
        let stream = TcpStream::connect(address)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        Ok(Client { reader: BufReader::new(stream) })
    }

    pub fn ask(&mut self, line: &str) -> io::Result<String> {
        self.reader.get_mut().write_all(format!("{line}\n").as_bytes())?;
        let mut answer = String::new();
        match self.reader.read_line(&mut answer)? {
            0 => Err(io::ErrorKind::UnexpectedEof.into()),
            _ => Ok(answer.trim_end().to_owned()),
        }
    }

    /// The number of the generation, and its process id.
    pub fn who(&mut self) -> io::Result<(u64, u32)> {
        let answer = self.ask("who")?;
        let mut words = answer.split(' ');
        let mut number = || words.next().and_then(|word| word.parse::<u64>().ok());
        match (number(), number()) {
            (Some(generation), Some(pid)) => Ok((generation, pid as u32)),
            _ => Err(io::Error::other(answer)),
        }
    }
}

/// Restarts a server of this case so many times.
pub fn measure(
    case: Case,
    times: usize,
    tunables: &str,
    cores: Option<Cores>,
) -> io::Result<Vec<Sample>> {
    let once = || measure_once(case, times, tunables, cores);
    let has_huge = |samples: &Vec<Sample>| samples.iter().any(|sample| sample.huge > 50.0);
    until_heeded(tunables, once, has_huge)
}

fn measure_once(
    case: Case,
    times: usize,
    tunables: &str,
    cores: Option<Cores>,
) -> io::Result<Vec<Sample>> {
    let control = std::env::temp_dir().join(format!("restart-{}.sock", std::process::id()));
    let address = free_address()?;
    let mut command = example("lab");
    command.args(["--listen", &address, "--control"]).arg(&control);
    command.env("RUST_LOG", "error").env("GLIBC_TUNABLES", tunables);
    command.envs([("LAB_IDLE", "never"), ("LAB_FIRST", "never"), ("LAB_PROBATION", "100")]);
    command.env("LAB_PREPARE", UNPREPARED);
    let server = Running::start(command, &address, cores)?;
    let target = Target { address, control, case };
    let samples: io::Result<Vec<_>> = (0..times).map(|_| target.restart()).collect();
    let last = stop(&target.address);
    drop(server);
    let samples = samples?; // its cause first
    await_end(last?)?; // the next one has the same control socket, and needs the memory
    Ok(samples)
}

/// Tells whoever serves to stop, and answers its process id.
pub fn stop(address: &str) -> io::Result<u32> {
    let mut last = Client::connect(address)?;
    let (_, pid) = last.who()?;
    last.ask("stop").ok();
    Ok(pid)
}

/// A server to be restarted.
struct Target {
    address: String,
    control: PathBuf,
    case: Case,
}

impl Target {
    fn restart(&self) -> io::Result<Sample> {
        let mut first = Client::connect(&self.address)?;
        let (generation, old) = first.who()?;
        if generation == 0 || self.case.engine == "fork-exec" {
            first.ask(&format!("heap {}", self.case.megabytes))?;
        }
        let crowd = (0..self.case.connections).map(|_| TcpStream::connect(&self.address));
        let crowd = crowd.collect::<io::Result<Vec<_>>>()?;
        let huge = huge_share(old) as f64;
        let mut operator = BufReader::new(UnixStream::connect(&self.control)?);
        let over = Arc::new(AtomicBool::new(false));
        let pinger = thread::spawn({
            let over = Arc::clone(&over);
            move || longest_wait(first, &over)
        });
        let begun = Instant::now();
        operator.get_mut().write_all(format!("restart {}\n", self.case.engine).as_bytes())?;
        let new = loop {
            let (now, pid) = Client::connect(&self.address)?.who()?;
            if now != generation {
                break pid;
            }
            if begun.elapsed() > PATIENCE {
                return Err(io::ErrorKind::TimedOut.into());
            }
        };
        let answer = millis(begun.elapsed());
        let steps = verdict(&mut operator)?;
        let (private, pss) = (rollup(new, "Private_Dirty:"), rollup(new, "Pss:"));
        over.store(true, Ordering::Relaxed);
        let wait = pinger.join().map_err(|_| io::Error::other("the pinger has panicked"))??;
        drop(crowd);
        await_end(old)?;
        let mib = |bytes: u64| bytes as f64 / (1 << 20) as f64;
        let sample = Sample { answer, wait, huge, private: mib(private), pss: mib(pss), ..steps };
        Ok(sample)
    }
}

/// Asks again and again until told to stop; then leaves, so that the old process may end.
fn longest_wait(mut client: Client, over: &AtomicBool) -> io::Result<f64> {
    let mut longest = Duration::ZERO;
    while !over.load(Ordering::Relaxed) {
        let begun = Instant::now();
        client.ask("echo x")?;
        longest = longest.max(begun.elapsed());
        thread::sleep(Duration::from_micros(50));
    }
    Ok(millis(longest))
}

/// What the server itself says of the restart.
fn verdict(operator: &mut BufReader<UnixStream>) -> io::Result<Sample> {
    let mut sample = Sample { stall: f64::NAN, ready: f64::NAN, ..Sample::default() };
    for line in operator.lines() {
        let line = line?;
        if line.starts_with("error") {
            return Err(io::Error::other(line));
        }
        let number = |text: &str| text.trim_end_matches("ms").parse().unwrap_or(f64::NAN);
        match line.split_once('=') {
            Some(("made", time)) => sample.stall = number(time),
            Some(("ready", time)) => sample.ready = number(time),
            None if line.is_empty() => break,
            _ => {}
        }
    }
    if sample.stall.is_nan() || sample.ready.is_nan() {
        return Err(io::Error::other("the server did not say how long the steps took"));
    }
    Ok(sample)
}

pub fn await_end(pid: u32) -> io::Result<()> {
    let begun = Instant::now();
    let is_alive = || {
        let status = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        !status.is_empty() && !status.contains(") Z ")
    };
    while is_alive() {
        if begun.elapsed() > PATIENCE {
            return Err(io::Error::other(format!("generation with pid {pid} does not end")));
        }
        thread::sleep(Duration::from_millis(5));
    }
    Ok(())
}

fn millis(time: Duration) -> f64 {
    time.as_secs_f64() * 1000.0
}
