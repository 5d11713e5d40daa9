//! Runs tests, each in a process of its own, as many at a time as there is room for. Knows nothing of what is said about them.

use std::{
    fs::File,
    io::{Read, Seek},
    path::PathBuf,
    process::{self, ExitStatus},
    sync::{Condvar, Mutex, mpsc},
    thread,
    time::{Duration, Instant},
};

use super::{ask::libtest, share::may_begin};

/// How long it takes until it is seen how busy the machine is with a test that has begun.
const LOOK: Duration = Duration::from_millis(20);

/// After this time without the end of a test it is told who is waited for.
const LONG: Duration = Duration::from_secs(60);

pub struct Ran {
    pub test: String,
    pub took: Duration,
    pub is_ok: bool,
    /// What it has printed, if it has failed.
    pub output: String,
}

/// Who is next, and who runs.
struct Queue<'a> {
    left: std::slice::Iter<'a, String>,
    running: Vec<&'a str>,
    /// When the last one began.
    last: Instant,
}

struct Runner<'a> {
    queue: Mutex<Queue<'a>>,
    ended: Condvar,
}

/// Runs the tests in their order; `note` hears of each as it ends.
pub fn all(tests: &[String], at_a_time: usize, mut note: impl FnMut(Ran)) {
    let queue = Queue { left: tests.iter(), running: Vec::new(), last: Instant::now() };
    let runner = &Runner { queue: Mutex::new(queue), ended: Condvar::new() };
    let (sender, results) = mpsc::channel();
    thread::scope(|scope| {
        for _ in 0..at_a_time.min(tests.len()) {
            let sender = sender.clone();
            scope.spawn(move || {
                while let Some(test) = runner.next() {
                    let ran = run(test);
                    runner.has_ended(test);
                    sender.send(ran).expect("who notes it waits for all");
                }
            });
        }
        drop(sender);
        loop {
            match results.recv_timeout(LONG) {
                Ok(ran) => note(ran),
                Err(mpsc::RecvTimeoutError::Timeout) => runner.tell_who_runs(),
                Err(mpsc::RecvTimeoutError::Disconnected) => return,
            }
        }
    });
}

impl<'a> Runner<'a> {
    /// The next test, once there is room for it. Nobody overtakes one that has to wait, so it does not wait for ever.
    fn next(&self) -> Option<&'a str> {
        let mut queue = self.queue.lock().expect("nobody panics with it");
        loop {
            let test = queue.left.as_slice().first()?;
            if may_begin(test, &queue.running, queue.last.elapsed() < LOOK) {
                queue.left.next();
                queue.running.push(test);
                queue.last = Instant::now();
                return Some(test);
            }
            queue = self.ended.wait_timeout(queue, LOOK).expect("nobody panics with it").0;
        }
    }

    fn has_ended(&self, test: &str) {
        self.queue.lock().expect("nobody panics with it").running.retain(|&it| it != test);
        self.ended.notify_all();
    }

    fn tell_who_runs(&self) {
        let queue = self.queue.lock().expect("nobody panics with it");
        println!(
            "for {} s no test has ended; running: {}",
            LONG.as_secs(),
            queue.running.join(", ")
        );
    }
}

fn run(test: &str) -> Ran {
    let begun = Instant::now();
    let (status, output) = start(test).expect("a test can be started");
    let is_ok = status.success();
    let said = what_it_said(test, &output);
    let output = if is_ok { String::new() } else { format!("{said}\n({status})\n") };
    Ran { test: test.to_owned(), took: begun.elapsed(), is_ok, output }
}

/// `output` without what libtest says around a test: there is to be one line that begins with `test result`.
fn what_it_said<'a>(test: &str, output: &'a str) -> &'a str {
    let said = output.rsplit_once(&format!("\ntest {test} ")).map_or(output, |(before, _)| before);
    said.trim_start().strip_prefix("running 1 test\n").unwrap_or(said)
}

/// What it prints goes to a file: a pipe would have its end only when the last process is gone that a test has left behind.
fn start(test: &str) -> std::io::Result<(ExitStatus, String)> {
    let (mut file, for_errors) = nameless_file(test)?;
    let mut command = libtest();
    command.args([test, "--exact", "--include-ignored", "--nocapture"]);
    command.stdout(file.try_clone()?).stderr(for_errors);
    let status = command.status()?;
    let mut output = Vec::new();
    file.rewind()?;
    file.read_to_end(&mut output)?;
    Ok((status, String::from_utf8_lossy(&output).into_owned()))
}

/// Twice the same one, which is gone when both are closed.
fn nameless_file(test: &str) -> std::io::Result<(File, File)> {
    let name = format!("{}-{}", process::id(), test.replace("::", "-"));
    let path = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(name);
    let file = File::options().read(true).append(true).create_new(true).open(&path)?;
    std::fs::remove_file(&path)?;
    Ok((file.try_clone()?, file))
}

#[cfg(test)]
mod tests {
    use super::what_it_said;

    #[test]
    fn of_a_failure_it_is_told_what_the_test_has_said() {
        let output = "\nrunning 1 test\npanicked\nat a\ntest a::b ... FAILED\n\nfailures:\n\ntest result: FAILED.";
        assert_eq!(what_it_said("a::b", output), "panicked\nat a");
        assert_eq!(what_it_said("a::b", "\nrunning 1 test\nhalf a li"), "half a li");
    }
}
