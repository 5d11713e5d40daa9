//! HAProxy and nginx as they stand in front of the fleet. What is in their configuration is what has to be there; neither
//! repeats a request that a server may have seen, so that a POST is never done twice.

use std::{
    fmt::Write,
    fs, io,
    net::{SocketAddr, TcpStream},
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use nix::sys::signal::Signal;

use crate::{
    process::{Process, free_address, wait_for, wait_open},
    servers::Server,
};

pub struct Haproxy {
    pub address: SocketAddr,
    config: PathBuf,
    process: Process,
}

/// What becomes of a balancer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Loss {
    Reload,
    Kill,
}

impl Loss {
    pub fn name(self) -> &'static str {
        match self {
            Loss::Reload => "haproxy is reloaded",
            Loss::Kill => "haproxy is killed, and started again",
        }
    }
}

impl Haproxy {
    /// - `agent-check`: a lame duck says `drain`, and no new request goes there.
    /// - `check port`, by `/readyz`: for a server that is gone without a word, which an agent's silence does not tell.
    /// - A connection that is refused is tried again elsewhere (`retries`, `option redispatch`): nothing was sent on it.
    ///   `retry-on` stays what it is by default, `conn-failure` alone.
    /// - `http-reuse safe`, the default, does not send the first request of a client over a connection that was idle.
    pub fn start(folder: &Path, servers: &[Server]) -> io::Result<Haproxy> {
        let (address, config) = (free_address()?, folder.join("haproxy.cfg"));
        let mut text = format!(
            "global\n    maxconn 4096\n    stats socket {} mode 600 level admin expose-fd listeners\n\
             defaults\n    mode http\n    timeout connect 2s\n    timeout client 30s\n    timeout server 30s\n    \
             retries 3\n    option redispatch\n\
             frontend in\n    bind {address}\n    default_backend fleet\n\
             backend fleet\n    balance roundrobin\n    option httpchk GET /readyz\n    \
             default-server check inter 500ms fall 2 rise 1 agent-check agent-inter 500ms\n",
            folder.join("haproxy.sock").display(),
        );
        for Server { name, address, health, agent, .. } in servers {
            let (check, agent) = (health.port(), agent.port());
            let _ = writeln!(text, "    server {name} {address} port {check} agent-port {agent}");
        }
        fs::write(&config, text)?;
        let process = Haproxy::run(&config)?;
        wait_open(address)?;
        Ok(Haproxy { address, config, process })
    }

    /// With a master, as the unit of Debian's package runs it.
    fn run(config: &Path) -> io::Result<Process> {
        let mut command = Command::new("haproxy");
        command.args(["-W", "-db", "-q", "-f"]).arg(config);
        Process::start({
            command.stdout(Stdio::null()).stderr(Stdio::null());
            command
        })
    }

    /// Loses it, and answers how long nobody accepted.
    pub fn lose(&mut self, how: Loss) -> io::Result<Duration> {
        let begun = Instant::now();
        match how {
            Loss::Reload => self.process.signal(Signal::SIGUSR2)?,
            Loss::Kill => {
                self.process.kill();
                let is_gone = || TcpStream::connect(self.address).is_err();
                wait_for("the last worker to be gone", is_gone)?;
                self.process = Haproxy::run(&self.config)?;
            }
        }
        wait_for("haproxy to accept again", || TcpStream::connect(self.address).is_ok())?;
        Ok(begun.elapsed())
    }
}

pub struct Nginx {
    pub address: SocketAddr,
    _process: Process,
}

impl Nginx {
    /// nginx without its commercial part asks no server how it is, so it learns by what it sees:
    /// - A lame duck says `Connection: close` in each reply, and so the pool of kept connections (`keepalive`) is empty before the
    ///   server drains: none of them is closed under a request.
    /// - Then a connection is refused, and the request goes to the next server (`proxy_next_upstream error timeout`, the default): nothing was
    ///   sent, so this holds for a POST as well. After one failure (`max_fails`) the server is left alone for a while (`fail_timeout`).
    /// - `proxy_http_version 1.1` and no `Connection` field, or nothing is kept at all.
    pub fn start(folder: &Path, servers: &[Server]) -> io::Result<Nginx> {
        let (address, config) = (free_address()?, folder.join("nginx.conf"));
        let place = |name: &str| folder.join(name).display().to_string();
        let listed =
            servers.iter().map(|it| format!("server {} max_fails=1 fail_timeout=10s;", it.address));
        let listed: Vec<_> = listed.collect();
        let temporary = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"];
        let temporary =
            temporary.map(|name| format!("{name}_temp_path {};", place(name))).join(" ");
        fs::write(
            &config,
            format!(
                "daemon off; worker_processes 1; pid {}; error_log {} warn;\n\
                 events {{ worker_connections 4096; }}\n\
                 http {{ access_log off; {temporary}\n\
                 upstream fleet {{ {} keepalive 64; }}\n\
                 server {{ listen {address}; keepalive_requests 1000000;\n\
                 location / {{ proxy_pass http://fleet; proxy_http_version 1.1; proxy_set_header Connection \"\";\n\
                 proxy_connect_timeout 2s; }} }} }}\n",
                place("nginx.pid"),
                place("nginx.log"),
                listed.join(" "),
            ),
        )?;
        let mut command = Command::new("nginx");
        command.arg("-p").arg(folder).arg("-c").arg(&config).args(["-e", &place("nginx.log")]);
        let process = Process::start(command)?;
        wait_open(address)?;
        Ok(Nginx { address, _process: process })
    }
}
