//! The requests that are about the process and its restarts; `beyond` has those about what is no
//! connection, `own` those about what each process has its own of, `socket` those about one connection,
//! `claims` those about another one's session, `words` those about other generations.

use std::{
    env, fs,
    hash::{BuildHasher, Hasher, RandomState},
    process,
    str::FromStr,
    sync::mpsc,
    thread,
    time::{Duration, Instant},
};

use heirloom::{Alarm, Connection, Net, Restart, Result};

use crate::{
    ALARM, DIAL, Lab, RESTART, UNHOLD, WAIT, idle, names, say,
    session::{self, Fails, Fate, Session},
    settings::adjust,
    socket, sockets, tls, words,
};

/// The heap of `heap` is made of such blocks, too small for the allocator to map each by itself.
const HEAP_BLOCK: usize = 64 * 1024;

/// What monitors are told, and why, and who outlives this process; `None`: it is another request.
fn standing(net: &mut Net, verb: &str, rest: &str) -> Result<Option<String>> {
    match verb {
        "ready" => net.set_ready(number::<u8>(rest)? != 0),
        "weight" => net.set_weight(number(rest)?),
        "checkpoint" => net.checkpoint(),
        "lame-duck" => return Ok(Some(format!("{:?}", net.lame_duck()))),
        _ => return Ok(None),
    }
    Ok(Some("ok".to_owned()))
}

impl Lab {
    /// A request and its answer; `None` when the answer comes later.
    pub fn handle(
        &mut self,
        conn: &mut Connection<'_>,
        session: &mut Session,
        line: &str,
    ) -> Result<Option<String>> {
        let (verb, rest) = line.split_once(' ').unwrap_or((line, ""));
        let id = conn.id();
        let net = &mut *conn.net;
        if let Some(answer) = words::handle(net, verb, rest)?.or(standing(net, verb, rest)?) {
            return Ok(Some(answer));
        }
        let done = || "ok".to_owned();
        Ok(Some(match verb {
            "who" => {
                let engine = net.engine().map_or("none".to_owned(), |engine| engine.to_string());
                format!("{} {} {engine}", net.generation(), process::id())
            }
            "echo" => rest.to_owned(),
            "stats" => format!("{:?} connections: {}", net.stats(), net.connections()),
            "events" => self.events.join(","),
            "closes" => self.closes.join(","),
            "verdict" => self.verdict.clone(),
            "fail" => return Err(rest.into()),
            "panic" => panic!("{rest}"),
            "unhold" => {
                let after = number(rest).unwrap_or(0); // milliseconds
                net.set_alarm(Alarm(UNHOLD), Duration::from_millis(after));
                done()
            }
            "wire" => {
                self.witness.say(rest);
                done()
            }
            "keep" => std::mem::replace(&mut self.kept, rest.to_owned()),
            "kept" => self.kept.clone(),
            "put" => {
                let (key, value) = rest.split_once(' ').ok_or("a key and a value")?;
                self.state.keys.set(key, value);
                done()
            }
            "get" => self.state.keys.get(rest).to_owned(),
            "drain" => {
                net.drain();
                done()
            }
            "stop" => {
                net.stop();
                done()
            }
            "roll-back" => {
                net.roll_back(rest);
                done()
            }
            _ => match self.handle_process(verb, rest)?.or_else(|| self.whence.handle(id, verb)) {
                Some(answer) => answer,
                None => return self.handle_moving(conn, session, verb, rest),
            },
        }))
    }

    /// The requests that are about this process; `None`: it is none of them.
    fn handle_process(&mut self, verb: &str, rest: &str) -> Result<Option<String>> {
        let done = || "ok".to_owned();
        Ok(Some(match verb {
            "fds" => fs::read_dir("/proc/self/fd")?.count().to_string(),
            "threads" => {
                self.set_threads(number(rest)?);
                done()
            }
            "block" => {
                thread::sleep(Duration::from_millis(number(rest)?));
                done()
            }
            "print" => {
                print!("{rest}"); // no newline: it stays in the buffer
                done()
            }
            "chdir" => env::set_current_dir(rest).map(|()| done())?,
            "env" => env::var(rest).unwrap_or_default(),
            "run" => run(rest)?,
            "orphan" => run("sleep 600 >/dev/null 2>&1 & echo $!")?,
            "nofile" => {
                let spare = if rest == "max" { None } else { Some(number(rest)?) };
                socket::limit_descriptors(spare)?;
                done()
            }
            "heap" => {
                let blocks = number::<usize>(rest)? * (1024 * 1024 / HEAP_BLOCK); // of so many MiB
                self.heap.extend((0..blocks).map(|_| vec![1; HEAP_BLOCK]));
                done()
            }
            "touch" => {
                let begun = Instant::now();
                self.touch(number(rest)?);
                begun.elapsed().as_micros().to_string()
            }
            "share" => {
                self.copies.push(socket::Copies::make()?);
                done()
            }
            _ => match self.own.handle(verb, rest)? {
                None => return self.book.handle(verb, rest),
                answer => return Ok(answer),
            },
        }))
    }

    /// Writes so many bytes all over the heap.
    fn touch(&mut self, count: usize) {
        let mut random = RandomState::new().build_hasher().finish() | 1;
        for _ in 0..count.min(self.heap.len() * HEAP_BLOCK) {
            random ^= random << 13;
            random ^= random >> 7;
            random ^= random << 17;
            let blocks = self.heap.len() as u64;
            let block = &mut self.heap[(random % blocks) as usize];
            block[(random / blocks) as usize % HEAP_BLOCK] = random as u8;
        }
    }

    /// The requests that are about a connection's way through restarts.
    fn handle_moving(
        &mut self,
        conn: &mut Connection<'_>,
        session: &mut Session,
        verb: &str,
        rest: &str,
    ) -> Result<Option<String>> {
        match verb {
            "keep-id" => self.state.kept = Some(conn.id()),
            "tell" => {
                let told = self
                    .state
                    .kept
                    .and_then(|id| conn.other(id).map(|mut conn| say(&mut conn, rest)));
                return Ok(Some(if told.is_some() { "told" } else { "nobody" }.to_owned()));
            }
            "stay" => session.fate = Fate::Stay,
            "no-export" => session.fate = Fate::NoExport,
            "no-import" => session.fate = Fate::NoImport,
            "no-save" => self.state.fails = Fails::Save,
            "no-load" => self.state.fails = Fails::Load,
            "load" => self.state.fails = Fails::Nothing,
            "outlive-eof" => session.outlives_eof = true,
            "fin" => conn.shutdown_write(),
            "note" => session.note = rest.into(),
            "noted" => return Ok(Some(String::from_utf8_lossy(&session.note).into_owned())),
            "listener" => return Ok(Some(format!("{:?}", session.listener))),
            "format" => return Ok(Some(session::version().to_string())),
            _ => return self.handle_later(conn, session, verb, rest),
        }
        Ok(Some("ok".to_owned()))
    }

    /// The requests whose answer comes later.
    fn handle_later(
        &mut self,
        conn: &mut Connection<'_>,
        session: &mut Session,
        verb: &str,
        rest: &str,
    ) -> Result<Option<String>> {
        match verb {
            "restart" => {
                let how = if rest == "fork" { Restart::fork() } else { Restart::fork_exec() };
                conn.net.restart(adjust(how));
                self.restarting.push(conn.id());
                self.wait(conn, RESTART);
            }
            "alarm" => {
                conn.net.set_alarm(Alarm(ALARM), Duration::from_millis(number(rest)?));
                self.wait(conn, ALARM);
            }
            "dial" => {
                let tag = DIAL + conn.id().to_bits();
                let mut words = rest.split(' ');
                let address = words.next().unwrap_or_default();
                conn.net.dial_with(address, tag, &sockets::options(words)?)?;
                self.wait(conn, tag);
            }
            "dial_host" => {
                let tag = names::tag(conn.id());
                names::dial(conn.net, rest, tag)?;
                self.wait(conn, tag);
            }
            "wait" => self.wait(conn, WAIT),
            "answer" => {
                self.answer(conn.net, WAIT, rest);
                return Ok(Some("ok".to_owned()));
            }
            _ => return self.handle_others(conn, session, verb, rest),
        }
        Ok(None)
    }

    /// The requests that other files are about.
    fn handle_others(
        &mut self,
        conn: &mut Connection<'_>,
        session: &mut Session,
        verb: &str,
        rest: &str,
    ) -> Result<Option<String>> {
        match verb {
            "dial_tls" | "dial_host_tls" => {
                let tag = names::tag(conn.id());
                tls::dial(conn.net, verb, rest, tag)?;
                self.wait(conn, tag);
            }
            "starttls" => {
                say(conn, "ok"); // the last plain bytes
                tls::upgrade(conn)?;
            }
            _ => {
                if let Some(answer) = tls::handle(conn, &self.dialed, verb, rest)? {
                    return Ok(Some(answer));
                }
                if let Some(answer) = sockets::handle(conn, verb, rest)? {
                    return Ok(Some(answer));
                }
                if let Some(answer) = self.holding.handle(conn.net, verb, rest)? {
                    return Ok(Some(answer));
                }
                if let Some(answer) = self.claims.handle(conn, session, verb, rest) {
                    return answer.map(Some);
                }
                if let Some(answer) = idle::handle(conn, verb, rest)? {
                    return Ok(Some(answer));
                }
                if let Some(answer) = self.outside.handle(conn.net, verb, rest)? {
                    return Ok(Some(answer));
                }
                return match self.beyond.handle(conn, verb, rest)? {
                    None => socket::handle(conn, session, verb, rest),
                    answer => Ok(answer),
                };
            }
        }
        Ok(None)
    }

    fn set_threads(&mut self, count: usize) {
        for (sender, thread) in self.threads.drain(..) {
            drop(sender);
            let _ = thread.join();
        }
        for _ in 0..count {
            let (sender, receiver) = mpsc::channel::<()>();
            let thread = thread::spawn(move || {
                let _ = receiver.recv(); // until its sender goes
            });
            self.threads.push((sender, thread));
        }
    }
}

/// What a command says, in one line. It blocks meanwhile, as a server should not.
fn run(command: &str) -> Result<String> {
    let output = process::Command::new("sh").args(["-c", command]).output()?;
    Ok(String::from_utf8_lossy(&output.stdout).trim_end().replace('\n', " "))
}

pub fn number<N: FromStr>(text: &str) -> Result<N> {
    text.parse().map_err(|_| format!("not a number: {text:?}").into())
}
