//! A server of the fleet: the example `http`, with listeners for monitors, asked through its control socket.

use std::{
    env,
    fs::File,
    io::{self, BufRead, BufReader, Read, Write},
    net::{SocketAddr, TcpStream},
    os::unix::net::UnixStream,
    path::{Path, PathBuf},
    process::Command,
};

use crate::{
    DEADLINE,
    process::{Process, free_address, wait_for},
};

pub struct Server {
    pub name: String,
    pub address: SocketAddr,
    pub health: SocketAddr,
    pub agent: SocketAddr,
    control: PathBuf,
    _process: Process,
}

impl Server {
    /// Starts it, and waits until it says that it is ready.
    pub fn start(folder: &Path, number: usize, moves: bool, lame_duck: f64) -> io::Result<Server> {
        let name = format!("s{}", number + 1);
        let control = folder.join(format!("{name}.control"));
        let (address, health, agent) = (free_address()?, free_address()?, free_address()?);
        let mut command = Command::new(env::current_exe()?.with_file_name("http"));
        command
            .args(["--listen", &address.to_string(), "--health", &health.to_string()])
            .args(["--agent-check", &agent.to_string(), "--lame-duck", &lame_duck.to_string()])
            .args(["--probation", "0.2", "--control"])
            .arg(&control)
            .arg("--pid-file")
            .arg(folder.join(format!("{name}.pid")))
            .arg(if moves { "--move" } else { "--no-move" })
            .stderr(File::create(folder.join(format!("{name}.log")))?);
        let process = Process::start(command)?;
        let server = Server { name, address, health, agent, control, _process: process };
        wait_for(&format!("{} to be ready", server.name), || {
            server.readyz().is_ok_and(|it| it == 200)
        })?;
        Ok(server)
    }

    /// The status of `/readyz`.
    fn readyz(&self) -> io::Result<u16> {
        let mut stream = TcpStream::connect(self.health)?;
        stream.set_read_timeout(Some(DEADLINE))?;
        stream.write_all(b"GET /readyz HTTP/1.0\r\n\r\n")?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer)?;
        let status = answer.split(' ').nth(1).and_then(|status| status.parse().ok());
        status.ok_or_else(|| io::Error::other("no answer"))
    }

    /// Waits until the new generation has proven itself.
    pub fn restart(&self, engine: &str, moves: bool) -> io::Result<()> {
        let mut stream = UnixStream::connect(&self.control)?;
        stream.set_read_timeout(Some(DEADLINE))?;
        stream.write_all(
            format!("restart {engine}{}\n", if moves { " move" } else { "" }).as_bytes(),
        )?;
        let mut verdict = String::new();
        BufReader::new(stream).read_line(&mut verdict)?;
        match verdict.starts_with("ok: ") {
            true => Ok(()),
            false => Err(io::Error::other(format!("{}: {verdict}", self.name))),
        }
    }

    /// Tells it to leave, and waits until it has.
    pub fn leave(&mut self) -> io::Result<()> {
        // The first process may be an old generation that has ended; whoever serves hears the control socket.
        let mut stream = UnixStream::connect(&self.control)?;
        stream.write_all(b"drain\n")?;
        let control = self.control.clone();
        wait_for(&format!("{} to be gone", self.name), || UnixStream::connect(&control).is_err())
    }
}
