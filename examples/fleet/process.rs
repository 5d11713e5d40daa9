//! A process that is ended with everything that came of it when nobody needs it any more; and free ports.

use std::{
    io,
    net::{SocketAddr, TcpListener, TcpStream},
    os::unix::process::CommandExt,
    process::{Child, Command, Stdio, exit},
    sync::Mutex,
    thread,
    time::{Duration, Instant},
};

use nix::{
    sys::signal::{SigSet, Signal, kill, killpg},
    unistd::Pid,
};

use crate::DEADLINE;

/// It leads a group of its own, in which its generations and workers are.
pub struct Process(Child);

/// The groups that are to be ended when this program is.
static GROUPS: Mutex<Vec<i32>> = Mutex::new(Vec::new());

/// From here on an interrupt ends them all, although they are in groups of their own.
pub fn heed_interrupts() -> io::Result<()> {
    let signals: SigSet = [Signal::SIGINT, Signal::SIGTERM, Signal::SIGHUP].into_iter().collect();
    signals.thread_block()?; // and in each thread that comes
    thread::spawn(move || {
        let _ = signals.wait();
        for &group in GROUPS.lock().expect("nobody panics with it").iter() {
            let _ = killpg(Pid::from_raw(group), Signal::SIGKILL);
        }
        exit(130)
    });
    Ok(())
}

impl Process {
    pub fn start(mut command: Command) -> io::Result<Process> {
        let program = command.get_program().display().to_string();
        command.stdin(Stdio::null()).process_group(0);
        let child =
            command.spawn().map_err(|e| io::Error::new(e.kind(), format!("{program}: {e}")))?;
        GROUPS.lock().expect("nobody panics with it").push(child.id() as i32);
        Ok(Process(child))
    }

    pub fn signal(&self, signal: Signal) -> io::Result<()> {
        Ok(kill(Pid::from_raw(self.0.id() as i32), signal)?)
    }

    /// Ends all of the group at once.
    pub fn kill(&mut self) {
        let group = self.0.id() as i32;
        GROUPS.lock().expect("nobody panics with it").retain(|&other| other != group);
        let _ = killpg(Pid::from_raw(group), Signal::SIGKILL);
        let _ = self.0.wait();
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
    }
}

/// For what has no event of its own.
pub fn wait_for(what: &str, mut done: impl FnMut() -> bool) -> io::Result<()> {
    let until = Instant::now() + DEADLINE;
    while !done() {
        if Instant::now() > until {
            return Err(io::Error::new(
                io::ErrorKind::TimedOut,
                format!("waited for {what} in vain"),
            ));
        }
        thread::sleep(Duration::from_millis(2));
    }
    Ok(())
}

/// Waits until somebody listens there.
pub fn wait_open(address: SocketAddr) -> io::Result<()> {
    wait_for(&format!("somebody to listen at {address}"), || TcpStream::connect(address).is_ok())
}

/// Nobody else is given it again soon.
pub fn free_address() -> io::Result<SocketAddr> {
    TcpListener::bind("127.0.0.1:0")?.local_addr()
}
