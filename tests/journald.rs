//! A server whose stderr is the journal of systemd tells it what each record is made of, by the native protocol, and waits
//! for nobody.

use std::{
    collections::BTreeMap,
    fs,
    os::unix::net::UnixDatagram,
    process::{Child, Command, Stdio},
};

use crate::common::{Client, DEADLINE, Dir, example, in_session, wait_for, wait_gone};
use nix::{
    sys::signal::{Signal, kill, killpg},
    unistd::Pid,
};

/// An example whose stderr is `dir/stderr`, and the journal's stream as far as it can tell.
struct Service {
    child: Child,
    dir: Dir,
}

impl Service {
    fn start(dir: Dir, wrap: &[&str]) -> Service {
        let stderr = fs::File::create(dir.path("stderr")).expect("a file");
        let stream = "JOURNAL_STREAM=$(stat -L -c %d:%i /proc/self/fd/2) exec \"$0\" \"$@\"";
        let mut command = match wrap {
            [] => in_session("sh"),
            [first, rest @ ..] => {
                let mut command = Command::new(first);
                command.args(rest).arg("sh");
                command
            }
        };
        command.arg("-c").arg(stream).arg(example("lab"));
        command.args(["--listen", "127.0.0.1:0", "--pid-file"]).arg(dir.path("pid"));
        command.args(["--probation", "0.05"]);
        command.env("JOURNAL_SOCKET", dir.path("socket")).env("RUST_LOG", "info");
        let child = command.stdin(Stdio::null()).stderr(stderr).spawn().expect("it starts");
        Service { child, dir }
    }

    fn signal(&self, signal: Signal) {
        let pid = fs::read_to_string(self.dir.path("pid")).expect("a pid file");
        let pid = pid.trim().parse().expect("a number");
        kill(Pid::from_raw(pid), signal).expect("it is there");
    }

    fn stderr(&self) -> String {
        fs::read_to_string(self.dir.path("stderr")).expect("a file")
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        let _ = killpg(Pid::from_raw(self.child.id() as i32), Signal::SIGKILL);
        let _ = self.child.wait();
    }
}

/// What journald makes of a datagram, by the description of the protocol.
fn read(mut bytes: &[u8]) -> BTreeMap<String, String> {
    let mut fields = BTreeMap::new();
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).expect("text");
    while !bytes.is_empty() {
        let end = bytes.iter().position(|&byte| byte == b'\n').expect("a line end");
        let (line, rest) = (&bytes[..end], &bytes[end + 1..]);
        let (name, value) = match line.iter().position(|&byte| byte == b'=') {
            Some(at) => {
                bytes = rest;
                (text(&line[..at]), text(&line[at + 1..]))
            }
            None => {
                let (length, rest) = rest.split_first_chunk::<8>().expect("a length");
                let (value, rest) = rest.split_at(u64::from_le_bytes(*length) as usize);
                bytes = rest.strip_prefix(b"\n").expect("a line end");
                (text(line), text(value))
            }
        };
        assert!(fields.insert(name, value).is_none());
    }
    fields
}

/// The next record with this field.
fn wait(socket: &UnixDatagram, name: &str, value: &str) -> BTreeMap<String, String> {
    let mut buffer = vec![0; 64 * 1024];
    loop {
        let count = socket.recv(&mut buffer).expect("a record in time");
        let fields = read(&buffer[..count]);
        if fields.get(name).is_some_and(|it| it == value) {
            return fields;
        }
    }
}

#[test]
fn a_restart_is_told_in_fields() {
    let dir = Dir::new();
    let socket = UnixDatagram::bind(dir.path("socket")).expect("a socket");
    socket.set_read_timeout(Some(DEADLINE)).expect("a timeout");
    let service = Service::start(dir, &[]);
    let ready = wait(&socket, "EVENT", "ready");
    assert_eq!((ready["GENERATION"].as_str(), ready["PRIORITY"].as_str()), ("0", "6"));
    assert_eq!(ready["TARGET"], "heirloom::restart");
    assert!(ready["MESSAGE"].starts_with("ready: generation 0 (none), pid "), "{ready:?}");
    assert!(ready["CODE_FILE"].ends_with(".rs") && ready["CODE_LINE"].parse::<u32>().is_ok());
    for (generation, signal, engine) in
        [("1", Signal::SIGHUP, "fork"), ("2", Signal::SIGUSR2, "fork-exec")]
    {
        service.signal(signal);
        let restart = wait(&socket, "EVENT", "restart");
        assert_eq!(
            (restart["OUTCOME"].as_str(), restart["ENGINE"].as_str()),
            ("committed", engine)
        );
        assert_eq!(restart["GENERATION"], generation);
        assert!(restart["TOOK_MS"].parse::<u64>().is_ok(), "{restart:?}");
    }
    service.signal(Signal::SIGTERM);
    // The others may still be on their way out.
    while wait(&socket, "EVENT", "drained")["GENERATION"] != "2" {}
    assert!(!service.stderr().contains("restart: done"), "it was said twice: {}", service.stderr());
}

/// What it does not take is a line on stderr, with its level.
#[test]
fn where_no_journal_listens_stderr_has_it_all() {
    let dir = Dir::new();
    let path = dir.path("socket");
    let service = Service::start(dir, &[]);
    wait_for("it to be ready", || service.stderr().contains("<6>ready: generation 0"));
    // One that nobody reads is full at some time, and holds nobody up.
    let _socket = UnixDatagram::bind(path).expect("a socket");
    let log = service.stderr();
    let address = log.split("listening on ").nth(1).and_then(|it| it.lines().next());
    let address = address.expect("an address").to_owned();
    let restarted = || service.stderr().contains("<6>restart: done");
    wait_for("the journal to be full", || {
        let mut client = Client::connect(&address);
        client.ask("restart fork");
        restarted()
    });
    service.signal(Signal::SIGTERM);
}

/// A journald of its own, in a mount namespace of its own.
#[test]
#[ignore = "needs systemd-journald"]
fn journald_finds_a_restart_by_its_fields() {
    let dir = Dir::new();
    let (run, logs) = (dir.path("run"), dir.path("log"));
    fs::create_dir_all(&run).expect("a directory");
    fs::create_dir_all(&logs).expect("a directory");
    let script = format!(
        "mount --bind {run} /run && mkdir -p /run/systemd/journal /run/log/journal && \
         exec /lib/systemd/systemd-journald",
        run = run.display()
    );
    let mut journald = Command::new("unshare")
        .args(["--mount", "sh", "-c", &script])
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("unshare and journald");
    let socket = run.join("systemd/journal/socket");
    wait_for("journald to listen", || socket.exists());
    std::os::unix::fs::symlink(&socket, dir.path("socket")).expect("a link");
    let service = Service::start(dir, &[]);
    wait_for("it to be ready", || service.dir.path("pid").exists());
    service.signal(Signal::SIGHUP);
    let found = || {
        let journalctl = Command::new("journalctl")
            .arg("--directory")
            .arg(run.join("log/journal"))
            .args(["--output=json", "EVENT=restart", "OUTCOME=committed"])
            .output()
            .expect("journalctl");
        String::from_utf8_lossy(&journalctl.stdout).into_owned()
    };
    wait_for("the record", || found().contains("\"ENGINE\":\"fork\""));
    let record: serde_json::Value = serde_json::from_str(&found()).expect("one object");
    assert_eq!((&record["GENERATION"], &record["PRIORITY"]), (&"1".into(), &"6".into()));
    assert_eq!(record["_COMM"], "lab", "journald knows who has said it");
    let pid = journald.id() as i32;
    journald.kill().expect("it runs");
    journald.wait().expect("it ends");
    wait_gone(pid);
}
