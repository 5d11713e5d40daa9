//! A new side that waits to be released sleeps: it takes no time from the old one, which serves.

mod common;

use std::{
    fs::{File, OpenOptions, read_to_string},
    io::{self, BufRead, BufReader, Read, Write},
    os::{
        fd::AsRawFd,
        unix::{fs::OpenOptionsExt, process::CommandExt},
    },
    process::{Child, Command, Stdio},
    thread,
};

use common::{Client, example, wait_for};
use nix::{
    fcntl::OFlag,
    sys::signal::{Signal, killpg},
    unistd::{Pid, pipe2},
};

/// A server whose log the test reads when it likes; all its generations end with the test.
struct Lab(Child);

impl Drop for Lab {
    fn drop(&mut self) {
        let _ = killpg(Pid::from_raw(self.0.id() as i32), Signal::SIGKILL);
        let _ = self.0.wait();
    }
}

/// Fills a pipe, so that whoever writes to it next has to wait for its reader.
fn fill(writer: &impl AsRawFd) {
    // A description of its own: O_NONBLOCK on the shared one would reach the server.
    let mut pipe = OpenOptions::new()
        .write(true)
        .custom_flags(OFlag::O_NONBLOCK.bits())
        .open(format!("/proc/self/fd/{}", writer.as_raw_fd()))
        .expect("a pipe of ours");
    for size in [4096, 1] {
        while pipe.write(&[b'\n'; 4096][..size]).is_ok() {}
    }
    let e = pipe.write(b"\n").expect_err("it is full");
    assert_eq!(e.kind(), io::ErrorKind::WouldBlock);
}

/// The state of a process, as in `proc_pid_stat(5)`.
fn state(pid: &str) -> Option<char> {
    let stat = read_to_string(format!("/proc/{pid}/stat")).ok()?;
    stat.rsplit(") ").next()?.chars().next()
}

#[test]
fn a_child_that_waits_for_its_release_sleeps() {
    let (reader, writer) = pipe2(OFlag::O_CLOEXEC).expect("a pipe");
    let mut command = Command::new(example("lab"));
    command.args(["--listen", "127.0.0.1:0"]).env("RUST_LOG", "info").env("LAB_READY", "60000");
    command.process_group(0).stdin(Stdio::null());
    let stderr = writer.try_clone().expect("a second handle");
    let lab = Lab(command.stderr(stderr).spawn().expect("the server starts"));
    let mut log = BufReader::new(File::from(reader));
    let mut ready = String::new();
    log.read_line(&mut ready).expect("the first line of the log");
    let address = ready.rsplit(' ').next().unwrap_or_default().trim_end().to_owned();

    // The old side forks, then stands still in the line of the log that says so. Until that is read,
    // it does not hear that the new side is ready.
    fill(&writer);
    let mut client = Client::connect(&address);
    client.send("restart fork\n");
    let pid = lab.0.id();
    let children =
        || read_to_string(format!("/proc/{pid}/task/{pid}/children")).expect("the server is there");
    wait_for("the child", || !children().trim().is_empty());
    let child = children().trim().to_owned();
    wait_for("the child to sleep", || state(&child) == Some('S'));

    drop(writer);
    thread::spawn(move || log.read_to_end(&mut Vec::new()));
    assert_eq!(client.line(), format!("ok 1 {child}"));
}
