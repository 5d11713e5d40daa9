//! Who takes part: how each server is found or built, and started. A missing one is named, never left
//! out in silence.

use std::{
    env,
    ffi::OsStr,
    fs, io,
    net::TcpListener,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use crate::{
    common::process::free_address,
    secured::{Cover, Pair},
};

/// A server that can be started.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Peer {
    Heirloom,
    /// An earlier build of it.
    Before,
    Bare,
    Tokio,
    May,
    Libevent,
    Redis,
    Nginx,
    Haproxy,
}

pub const ALL: [Peer; 9] = [
    Peer::Heirloom,
    Peer::Before,
    Peer::Bare,
    Peer::Tokio,
    Peer::May,
    Peer::Libevent,
    Peer::Redis,
    Peer::Nginx,
    Peer::Haproxy,
];

impl Peer {
    pub fn name(self) -> &'static str {
        match self {
            Peer::Heirloom => "heirloom",
            Peer::Before => "heirloom before",
            Peer::Bare => "bare epoll",
            Peer::Tokio => "tokio",
            Peer::May => "may_minihttp",
            Peer::Libevent => "libevent",
            Peer::Redis => "redis",
            Peer::Nginx => "nginx",
            Peer::Haproxy => "haproxy",
        }
    }

    /// The same where that takes part by other means, with TLS.
    pub fn name_under(self, cover: Cover) -> &'static str {
        match self {
            Peer::Tokio if cover.is_tls() => "tokio-rustls",
            Peer::Haproxy if cover.is_tls() => "haproxy in front of plain heirloom, both",
            _ => self.name(),
        }
    }

    /// Whether it speaks a protocol.
    pub fn speaks(self, protocol: &str, cover: Cover) -> bool {
        match self {
            Peer::Heirloom | Peer::Before => true,
            Peer::Redis => protocol.starts_with("resp") && !cover.is_tls(),
            _ if protocol == "resp3" => false,
            Peer::Tokio => true,
            Peer::Haproxy if cover.is_tls() => true,
            Peer::Nginx => protocol == "http",
            _ if cover.is_tls() => false,
            Peer::Bare => true,
            Peer::Libevent => protocol == "echo",
            Peer::May | Peer::Haproxy => protocol == "http",
        }
    }
}

/// Where everything is.
pub struct Ground {
    /// What was built, in the profile of this program: bench, unless cargo was told another one.
    built: PathBuf,
    /// The examples of an earlier tree, if that is to be compared.
    before: Option<PathBuf>,
    /// Whether they have TLS.
    before_has_tls: bool,
    /// Where configurations and the C program go.
    folder: PathBuf,
    ecdsa: Option<Pair>,
    rsa: Option<Pair>,
}

impl Ground {
    /// Builds what is to be built: all programs, or this example alone.
    pub fn prepare(before: Option<PathBuf>, alone: Option<&str>) -> io::Result<Ground> {
        let me = env::current_exe()?; // target/release/deps/peers-...
        let target = me.ancestors().nth(3).ok_or_else(|| io::Error::other("no target folder"))?;
        let built = me.ancestors().nth(2).unwrap_or(target);
        let profile = match built.file_name().and_then(OsStr::to_str) {
            Some("debug") | None => "dev",
            Some("release") => "bench", // both have this folder
            Some(other) => other,
        };
        let folder = target.join("peers");
        fs::create_dir_all(&folder)?;
        let build =
            Command::new(env!("CARGO"))
                .args(["build", "--quiet"])
                .args(alone.map_or(
                    vec!["--bins", "--example=echo", "--example=http", "--example=kv"],
                    |it| vec!["--example", it],
                ))
                .args(["--profile", profile])
                .args(cfg!(feature = "tls").then_some("--features=tls"))
                .arg("--target-dir")
                .arg(target)
                .current_dir(env!("CARGO_MANIFEST_DIR"))
                .status()?;
        if !build.success() {
            return Err(io::Error::other("the examples do not build"));
        }
        let source = concat!(env!("CARGO_MANIFEST_DIR"), "/benches/peers/libevent.c");
        let _ = Command::new("cc")
            .args(["-O2", source, "-levent_core", "-o"])
            .arg(folder.join("libevent"))
            .stderr(Stdio::null())
            .status();
        let before_has_tls = before.as_ref().is_some_and(|folder| has_tls(&folder.join("echo")));
        let (ecdsa, rsa) = (Pair::make(&folder, Cover::Ecdsa)?, Pair::make(&folder, Cover::Rsa)?);
        Ok(Ground { built: built.to_owned(), before, before_has_tls, folder, ecdsa, rsa })
    }

    /// The certificate that all servers show.
    pub fn pair(&self, cover: Cover) -> Option<&Pair> {
        match cover {
            Cover::Plain => None,
            Cover::Ecdsa => self.ecdsa.as_ref(),
            Cover::Rsa => self.rsa.as_ref(),
        }
    }

    /// Why a peer cannot take part.
    pub fn lacks(&self, peer: Peer, cover: Cover) -> Option<&'static str> {
        let missing = |program: &str| !is_installed(program);
        match peer {
            Peer::Before if self.before.is_none() => Some("--before FOLDER"),
            Peer::Before if cover.is_tls() && !self.before_has_tls => Some("TLS in that folder"),
            Peer::Libevent if !self.folder.join("libevent").exists() => Some("libevent-dev or cc"),
            Peer::Redis if missing("redis-server") => Some("redis-server"),
            Peer::Nginx if missing("nginx") => Some("nginx"),
            Peer::Haproxy if missing("haproxy") => Some("haproxy"),
            _ => None,
        }
    }

    /// How to start it, and the address that it will listen on.
    pub fn command(
        &self,
        peer: Peer,
        protocol: &str,
        cover: Cover,
    ) -> io::Result<(Command, String)> {
        let pair = self.pair(cover);
        let port = TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
        let address = format!("127.0.0.1:{port}");
        let mut command = match peer {
            Peer::Heirloom | Peer::Before => self.heirloom(peer, protocol, &address, pair),
            Peer::Bare => itself("bare", protocol, &address)?,
            Peer::Tokio => {
                let mut command = itself("tokio", protocol, &address)?;
                command.args(pair.into_iter().flat_map(|pair| [&pair.certificate, &pair.key]));
                command
            }
            Peer::May => itself("may", protocol, &address)?,
            Peer::Libevent => {
                let mut command = Command::new(self.folder.join("libevent"));
                command.arg(port.to_string());
                command
            }
            Peer::Redis => {
                let mut command = Command::new("redis-server");
                command.args(["--bind", "127.0.0.1", "--port", &port.to_string(), "--save", ""]);
                command
            }
            Peer::Nginx => {
                let mut command = self.nginx(&address, pair)?;
                command.args(["-g", "daemon off;"]);
                command
            }
            Peer::Haproxy => match pair {
                Some(pair) => self.in_front(protocol, &address, pair)?,
                None => self.haproxy(&address)?,
            },
        };
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(self.log(peer)?);
        Ok((command, address))
    }

    /// The same for a server that is to be restarted. nginx takes the signal for that only as a daemon.
    pub fn restartable(&self, peer: Peer) -> io::Result<(Command, String)> {
        let (command, address) = self.command(peer, "http", Cover::Plain)?;
        match peer {
            Peer::Nginx => Ok((self.nginx(&address, None)?, address)),
            _ => Ok((command, address)),
        }
    }

    pub fn log(&self, peer: Peer) -> io::Result<fs::File> {
        fs::File::create(self.folder.join(format!("{}.log", peer.name())))
    }

    fn heirloom(&self, peer: Peer, protocol: &str, address: &str, pair: Option<&Pair>) -> Command {
        let name = if protocol.starts_with("resp") { "kv" } else { protocol };
        let before = self.before.as_ref().filter(|_| peer == Peer::Before);
        let mut command = Command::new(before.map_or(self.example(name), |it| it.join(name)));
        command.args(["--listen", address, "--probation", "0.05", "--pid-file"]);
        command.arg(self.pid_file(peer)).env("RUST_LOG", "warn");
        if protocol == "http" {
            command.arg("--no-move"); // its rivals drain as well
        }
        if let Some(pair) = pair {
            command.arg("--tls-cert").arg(&pair.certificate).arg("--tls-key").arg(&pair.key);
        }
        command
    }

    /// One that serves HTTP by so many processes, each on a core of its own.
    pub fn with_workers(&self, peer: Peer, count: u32) -> io::Result<(Command, String)> {
        let (mut command, address) = match peer {
            Peer::Nginx => {
                let address = free_address()?;
                let mut command = self.nginx_of(&address, count, None)?;
                command.args(["-g", "daemon off;"]);
                (command, address)
            }
            _ => self.command(peer, "http", Cover::Plain)?,
        };
        if peer == Peer::Heirloom {
            command.args(["--pinned", "--workers", &count.to_string()]);
        }
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(self.log(peer)?);
        Ok((command, address))
    }

    fn nginx(&self, address: &str, pair: Option<&Pair>) -> io::Result<Command> {
        self.nginx_of(address, 1, pair)
    }

    /// With several workers each has a socket and a core, as ours have.
    fn nginx_of(&self, address: &str, workers: u32, pair: Option<&Pair>) -> io::Result<Command> {
        let (folder, config) = (self.folder.display(), self.folder.join("nginx.conf"));
        let ssl = if pair.is_some() { "ssl" } else { "" };
        let tls = pair.map_or_else(String::new, |pair| {
            let (certificate, key) = (pair.certificate.display(), pair.key.display());
            format!(
                "ssl_certificate {certificate}; ssl_certificate_key {key}; ssl_protocols TLSv1.3;\n"
            )
        });
        let text = format!(
            "worker_processes {workers};{affinity} pid {pid}; error_log {folder}/nginx.error;\n\
             worker_rlimit_nofile 20000; events {{ worker_connections 16000; }}\n\
             http {{ access_log off; keepalive_requests 1000000000; tcp_nodelay on;\n\
             client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy;\n\
             fastcgi_temp_path {folder}/fastcgi; uwsgi_temp_path {folder}/uwsgi;\n\
             scgi_temp_path {folder}/scgi; default_type text/plain;\n\
             server {{ listen {address} backlog=4096{reuseport} {ssl};\n{tls}\
             location / {{ return 200 \"hello, world\\n\"; }} }} }}\n",
            pid = self.pid_file(Peer::Nginx).display(),
            affinity = if workers > 1 { " worker_cpu_affinity auto;" } else { "" },
            reuseport = if workers > 1 { " reuseport" } else { "" },
        );
        fs::write(&config, text)?;
        // By its whole path: it starts itself again at a restart.
        let mut command = Command::new(find("nginx").ok_or(io::ErrorKind::NotFound)?);
        command.arg("-p").arg(&self.folder).arg("-c").arg(config);
        Ok(command)
    }

    fn haproxy(&self, address: &str) -> io::Result<Command> {
        let config = self.folder.join("haproxy.cfg");
        let text = format!(
            "global\n  nbthread 1\n  maxconn 8000\n  stats socket {folder}/haproxy.sock level admin \
             expose-fd listeners\n\
             defaults\n  mode http\n  timeout client 60s\n  timeout server 60s\n  timeout connect 5s\n\
             frontend hello\n  bind {address} backlog 4096\n  http-request return status 200 \
             content-type text/plain string \"hello, world\\n\"\n",
            folder = self.folder.display(),
        );
        fs::write(&config, text)?;
        let mut command = Command::new(find("haproxy").ok_or(io::ErrorKind::NotFound)?);
        command.arg("-W").arg("-f").arg(config).arg("-p").arg(self.pid_file(Peer::Haproxy));
        Ok(command)
    }

    /// TLS ends in haproxy, and behind it is the plain server, a child of that process: so both are measured.
    fn in_front(&self, protocol: &str, address: &str, pair: &Pair) -> io::Result<Command> {
        let config = self.folder.join("haproxy-tls.cfg");
        let behind = TcpListener::bind("127.0.0.1:0")?.local_addr()?.to_string();
        let text = format!(
            "global\n  nbthread 1\n  maxconn 8000\n  ssl-default-bind-options ssl-min-ver TLSv1.3\n\
             defaults\n  mode tcp\n  timeout client 60s\n  timeout server 60s\n  timeout connect 5s\n\
             frontend tls\n  bind {address} backlog 4096 ssl crt {both}\n  default_backend plain\n\
             backend plain\n  server heirloom {behind}\n",
            both = pair.both.display(),
        );
        fs::write(&config, text)?;
        let mut command = Command::new("sh");
        command.args(["-c", "\"$1\" --listen \"$2\" & shift 2; exec \"$@\"", "sh"]);
        command.arg(self.example(protocol)).arg(behind).env("RUST_LOG", "warn");
        command.arg("haproxy").arg("-db").arg("-f").arg(config);
        Ok(command)
    }

    pub fn example(&self, name: &str) -> PathBuf {
        self.built.join("examples").join(name)
    }

    pub fn program(&self, name: &str) -> PathBuf {
        self.built.join(name)
    }

    pub fn pid_file(&self, peer: Peer) -> PathBuf {
        self.folder.join(format!("{}.pid", peer.name().replace(' ', "-")))
    }
}

/// Whether an example was built with the feature `tls`.
fn has_tls(example: &Path) -> bool {
    let mut command = Command::new(example);
    command.args(["--listen", "127.0.0.1:0", "--tls-self-signed", "--check"]);
    let silent = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    silent.status().is_ok_and(|status| status.success())
}

/// This very program, as a server.
pub fn itself(kind: &str, protocol: &str, address: &str) -> io::Result<Command> {
    let mut command = Command::new(env::current_exe()?);
    command.args(["serve", kind, protocol, address]);
    Ok(command)
}

/// Whether a program is on the path.
pub fn is_installed(program: &str) -> bool {
    find(program).is_some()
}

fn find(program: &str) -> Option<PathBuf> {
    let paths = env::var_os("PATH")?;
    env::split_paths(&paths).map(|folder| folder.join(program)).find(|path| path.is_file())
}
