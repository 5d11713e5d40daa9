//! What a new program says on stderr costs the one that serves little, whatever it says and whoever reads
//! it: nobody waits, nothing grows, and what is missing is told.

use std::{
    fs,
    io::{BufRead, BufReader, PipeReader, Read, Write},
    os::unix::{fs::PermissionsExt, net::UnixStream},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use crate::common::{
    Dir, example, in_session,
    ops::{Control, Operated, heirloom},
    restart::{Engine, Lab, slay},
    wait_for, while_stopped,
};
use heirloom::limits::{STDERR_RATE, STDERR_READ};
use nix::{
    sys::signal::{Signal, killpg},
    unistd::Pid,
};

/// A program that says more than anybody wants to hear.
const ENDLESS: &str = "#!/bin/sh\nexec yes >&2\n";

/// Puts a file at `path`, by rename. Another process writes it: a file that this one has open for
/// writing could not be run while some other test forks.
fn place(content: &str, path: &Path) {
    let (source, next) = (path.with_extension("source"), path.with_extension("next"));
    fs::write(&source, content).expect("a file");
    fs::set_permissions(&source, fs::Permissions::from_mode(0o755)).expect("a mode");
    copy(&source, &next);
    fs::rename(&next, path).expect("in one directory");
}

fn copy(from: &Path, to: &Path) {
    let copied = Command::new("cp").arg("-p").arg(from).arg(to).status().expect("cp runs");
    assert!(copied.success());
}

/// A lab whose stderr is a pipe that nobody reads. It logs nothing, for its logger would wait.
struct Unheard {
    child: Child,
    dir: Dir,
    pipe: PipeReader,
}

impl Unheard {
    fn start(extra: &[&str]) -> Unheard {
        let dir = Dir::new();
        let (pipe, stderr) = std::io::pipe().expect("a pipe");
        copy(&example("lab"), &dir.path("server"));
        let mut command = in_session(dir.path("server"));
        let listen = format!("unix:{}", dir.path("lab").display());
        command.args(["--listen", &listen, "--control"]).arg(dir.path("control"));
        command.arg("--pid-file").arg(dir.path("pid")).args(extra);
        command.env("RUST_LOG", "off").env("LAB_READY", "1000").env("LAB_PROBATION", "20");
        let child = command.stdin(Stdio::null()).stderr(stderr).spawn().expect("it starts");
        let unheard = Unheard { child, dir, pipe };
        wait_for("it to serve", || unheard.who().is_some());
        unheard
    }

    fn program(&self) -> PathBuf {
        self.dir.path("server")
    }

    /// Puts the script in the place of the program, until the guard's function is called.
    fn replace(&self, script: &str) {
        fs::rename(self.program(), self.dir.path("good")).expect("in one directory");
        place(script, &self.program());
    }

    fn put_back(&self) {
        fs::rename(self.dir.path("good"), self.program()).expect("in one directory");
    }

    /// Who answers a new client, if somebody does soon.
    fn who(&self) -> Option<i32> {
        let mut client = UnixStream::connect(self.dir.path("lab")).ok()?;
        client.set_read_timeout(Some(Duration::from_secs(5))).ok()?;
        client.write_all(b"who\n").ok()?;
        let mut answer = String::new();
        BufReader::new(client).read_line(&mut answer).ok()?;
        answer.split(' ').nth(1)?.parse().ok()
    }

    /// Leaves no room for a single byte in the pipe.
    fn fill(&self) {
        let pid = self.child.id();
        // Another description of the same pipe, so that nobody else's stops to block.
        let own =
            fs::File::options().write(true).open(format!("/proc/{pid}/fd/2")).expect("a pipe");
        nix::fcntl::fcntl(&own, nix::fcntl::FcntlArg::F_SETFL(nix::fcntl::OFlag::O_NONBLOCK))
            .expect("a flag");
        for size in [4096, 1] {
            while (&own).write(&vec![b'.'; size]).is_ok() {}
        }
    }

    /// All that is in the pipe by now.
    fn read(&mut self) -> String {
        nix::fcntl::fcntl(&self.pipe, nix::fcntl::FcntlArg::F_SETFL(nix::fcntl::OFlag::O_NONBLOCK))
            .expect("a flag");
        let mut text = Vec::new();
        let end = self.pipe.read_to_end(&mut text).map_err(|e| e.kind());
        assert!(matches!(end, Err(std::io::ErrorKind::WouldBlock)), "{end:?}");
        String::from_utf8_lossy(&text).into_owned()
    }
}

impl Drop for Unheard {
    fn drop(&mut self) {
        let _ = killpg(Pid::from_raw(self.child.id() as i32), Signal::SIGKILL);
        let _ = self.child.wait();
    }
}

#[test]
fn where_nobody_reads_our_stderr_nobody_waits() {
    let mut lab = Unheard::start(&[]);
    lab.fill();
    lab.replace(ENDLESS);
    let mut asker = Control::connect(&lab.dir.path("control")).expect("it is there");
    asker.send("restart fork-exec\n");
    wait_for("the restart to be in progress", || {
        let ran = heirloom(&lab.dir.path("control")).arg("status").output().expect("it runs");
        String::from_utf8_lossy(&ran.stdout).contains("starting")
    });
    for _ in 0..20 {
        assert_eq!(lab.who(), Some(lab.child.id() as i32));
    }
    let reply = asker.reply();
    assert!(reply[0].contains("was not ready within 1s; its stderr ends: "), "{reply:?}");
    assert!(reply[1..].iter().all(|line| line == "y"), "{reply:?}");
    // When somebody reads again, it hears that something is missing, and then the rest.
    assert!(lab.read().ends_with("..."));
    place("#!/bin/sh\necho the end >&2\nexit 7\n", &lab.program());
    let reply =
        Control::connect(&lab.dir.path("control")).expect("it is there").ask("restart fork-exec");
    assert!(reply.concat().contains("exit status 7; its stderr ends: the end"), "{reply:?}");
    assert_eq!(lab.read(), "the end\n");
    lab.put_back();
    let reply =
        Control::connect(&lab.dir.path("control")).expect("it is there").ask("restart fork-exec");
    assert!(reply[0].starts_with("ok: "), "{reply:?}");
}

/// The half that is left is for who waits for room: the server's own log.
#[test]
fn what_is_passed_on_does_not_take_the_last_room() {
    let mut lab = Unheard::start(&[]);
    lab.replace("#!/bin/sh\nhead -c 200000 /dev/zero | tr '\\0' x >&2\nexit 7\n");
    let reply =
        Control::connect(&lab.dir.path("control")).expect("it is there").ask("restart fork-exec");
    assert!(reply[0].contains("exit status 7"), "{reply:?}");
    let text = lab.read();
    let kept = text.matches('x').count();
    assert!((16 * 1024..=32 * 1024).contains(&kept), "{kept} bytes of a pipe of 64 KiB");
}

/// The supervisor makes a generation in the same way.
#[test]
fn nor_does_a_supervisor_wait() {
    let lab = Unheard::start(&["--supervised"]);
    lab.fill();
    lab.replace(ENDLESS);
    let main = lab.who().expect("it serves");
    slay(main);
    let supervisor = lab.child.id();
    wait_for("the supervisor to make another", || {
        let children = fs::read_to_string(format!("/proc/{supervisor}/task/{supervisor}/children"));
        children.is_ok_and(|list| {
            list.split_whitespace().any(|pid| {
                fs::read_to_string(format!("/proc/{pid}/comm")).is_ok_and(|name| name == "yes\n")
            })
        })
    });
    lab.put_back();
    wait_for("it to serve again", || lab.who().is_some_and(|pid| pid != main));
}

/// Bytes that a process has read, from whatever (`proc_pid_io(5)`).
fn bytes_read(pid: i32) -> u64 {
    let text = fs::read_to_string(format!("/proc/{pid}/io")).expect("ours");
    let line = text.lines().find_map(|line| line.strip_prefix("rchar: ")).expect("a counter");
    line.parse().expect("a number")
}

#[test]
fn only_so_much_a_second_is_passed_on_and_what_is_missing_is_told() {
    const MILLIS: u64 = 1500;
    let dir = Dir::new();
    let path = dir.path("server");
    copy(&example("lab"), &path);
    let lab = Operated::with(20, |setup| setup.program(&path).env("LAB_READY", MILLIS));
    place(ENDLESS, &path);
    let (before, begun) = (bytes_read(lab.pid()), Instant::now());
    let mut client = lab.connect();
    let asked = lab.heirloom_later(&["restart", "--fork-exec"]);
    lab.wait_line("by fork-exec is pid");
    for _ in 0..20 {
        client.who();
    }
    let ran = asked.wait();
    let seconds = begun.elapsed().as_secs() as usize + 2; // those that were begun
    assert!(ran.err.contains("was not ready within 1.5s; its stderr ends: y"), "{ran:?}");
    let told = lab.wait_line("bytes of the new program's stderr are missing here");
    let words = told.trim_start_matches("heirloom: ");
    let missing: usize = words.split(' ').next().expect(words).parse().expect(words);
    assert!(missing > STDERR_RATE, "{told}");
    let passed = lab.count_lines("y") * 2; // and some lines of the log
    assert!(passed > 0 && passed <= seconds * STDERR_RATE, "{passed} in {seconds} s");
    let read = bytes_read(lab.pid()) - before;
    assert!(read < (seconds * (STDERR_READ + STDERR_RATE)) as u64, "{read} in {seconds} s");
}

/// All of it is there at once: no further edge says that there is more.
#[test]
fn what_was_said_while_the_server_stood_still_is_passed_on_whole() {
    let dir = Dir::new();
    let path = dir.path("server");
    copy(&example("lab"), &path);
    let lab = Lab::with(|setup| setup.program(&path).env("LAB_READY", "60000"));
    let (go, done) = (dir.path("go"), dir.path("done"));
    let script = format!(
        "#!/bin/sh\nwhile ! test -e {}; do sleep 0.01; done\n\
         head -c 400000 /dev/zero | tr '\\0' x >&2\necho >&2; echo the end >&2\n\
         touch {}\nexec sleep 600\n",
        go.display(),
        done.display()
    );
    place(&script, &path);
    lab.signal(Engine::ForkExec.signal());
    lab.wait_line("by fork-exec is pid");
    while_stopped(lab.pid(), || {
        fs::write(&go, "").expect("a file");
        wait_for("the program to have said it", || done.exists());
    });
    lab.wait_line("the end");
    assert_eq!(lab.count_lines(&"x".repeat(400_000)), 1, "a part is missing");
}
