//! Connections of the control socket: served by the turn itself, never by the author's service.

use log::Level;
use nix::unistd::geteuid;

use crate::{
    cause::Cause,
    limits::CONTROL_LINE,
    log_target::CONTROL,
    logging::Quoted,
    net::{ConnId, Connection, Peer, Phase as ConnPhase, Reason, Request, Timer},
    operate::{
        behalf::Behalf,
        control::{self, Command, StatusLine},
    },
    plan::{Engine, Restart},
    restart::Phase,
    service::Service,
    turn::{
        Turn,
        generation::{Question, Trigger},
    },
    verdict::Verdict,
};

/// The one timer of a connection of the control socket.
const HEARTBEAT: Timer = Timer(0);

impl<S: Service> Turn<S> {
    /// Somebody has connected. The path's mode keeps others out; this is for one that was changed.
    pub(super) fn open_control(&mut self, id: ConnId) {
        let own = geteuid().as_raw();
        match *Connection::new(&mut self.net, id).peer() {
            Peer::Unix { uid, .. } if uid == own || uid == 0 => {}
            peer => {
                let line = format_args!("control: {peer} is somebody else: refused");
                self.net.log(CONTROL, Level::Warn, "control refused", line);
                self.answer(id, "error: this socket is for the server's own user");
                self.net.finish(id, Reason::Closed);
            }
        }
    }

    /// Input of a control connection: one read, and the requests that are whole.
    pub(super) fn serve_control(&mut self, id: ConnId) {
        let conn = &self.net.conns[id.slot()];
        // What does not fit waits in the socket, and makes its sender wait.
        let room = (CONTROL_LINE + 1).saturating_sub(conn.input.len());
        if conn.takes_input()
            && conn.flags.readable
            && !conn.flags.eof
            && room > 0
            && let Some(count) = self.net.read(id, &mut self.buffer[..room])
        {
            self.net.conns[id.slot()].input.extend_from_slice(&self.buffer[..count]);
        }
        while let Some(conn) = self.net.conn(id).filter(|conn| conn.takes_input()) {
            let Some(end) = conn.input.iter().position(|&byte| byte == b'\n') else { break };
            conn.flags.greeted = true;
            let line: Vec<u8> = conn.input.drain(..=end).collect();
            self.obey(id, String::from_utf8_lossy(&line).trim_end());
        }
        let Some(conn) = self.net.conn(id) else { return };
        conn.flags.incomplete = !conn.flags.paused;
        if conn.takes_input() && conn.input.len() > CONTROL_LINE {
            self.answer(id, "error: the request is too long");
            self.net.finish(id, Reason::TooLong);
        } else if conn.takes_input() && conn.flags.eof {
            self.net.finish(id, Reason::PeerClosed);
        }
    }

    fn obey(&mut self, id: ConnId, line: &str) {
        let said = format_args!("control: request={}", Quoted(line));
        self.net.log(CONTROL, Level::Debug, "control request", said);
        let (behalf, line) = match Behalf::read(line) {
            Some((behalf, line)) if self.is_supervisors(id) => (Some(behalf), line),
            _ => (None, line),
        };
        match Command::parse(line) {
            Err(why) => self.answer(id, &why),
            Ok(Command::Heartbeat(every)) => {
                self.net.conns[id.slot()].rare_mut().heartbeat = Some(every);
                self.answer(id, &format!("ok: every {every:?} while a request waits"));
            }
            Ok(Command::Help) => self.answer(id, control::HELP),
            Ok(Command::Status) => self.ask_all(id, Question::Status),
            Ok(Command::Metrics) => self.ask_all(id, Question::Metrics),
            Ok(Command::Log) => self.answer_log(id),
            Ok(Command::Check) => self.answer_check(id),
            Ok(Command::Restart { engine, moves }) => {
                let how = self.template(engine);
                self.restart_for(id, behalf, if moves { how.move_connections() } else { how });
            }
            Ok(Command::RestartLike(number)) => match self.like(number) {
                Some(how) => self.restart_for(id, behalf, how),
                None => self.answer(id, &format!("error: signal {number} asks for no restart")),
            },
            Ok(Command::RollBack) => {
                self.wait_for_answer(id);
                let (reason, cause) = ("on request".to_owned(), self.cause_of(id, behalf));
                self.net.requests.push(Request::RollBack { reason, by: Some(id), cause });
            }
            Ok(Command::Wait(awaited)) => self.wait_until(id, awaited),
            Ok(Command::Drain) => {
                let text = self.way_to_drain();
                self.answer(id, &text);
                let cause = self.cause_of(id, behalf);
                self.net.requests.push(Request::Drain { cause });
            }
            Ok(Command::Stop) => {
                self.answer(id, "ok: stopping");
                let cause = self.cause_of(id, behalf);
                self.net.requests.push(Request::Stop { cause });
            }
        }
    }

    /// An operator has asked for it, or whoever has asked a supervisor.
    fn cause_of(&mut self, id: ConnId, behalf: Option<Behalf>) -> Cause {
        let own = || match *Connection::new(&mut self.net, id).peer() {
            Peer::Unix { pid, uid, .. } => Some(Behalf { pid: pid as u32, uid, signal: None }),
            _ => None, // nobody else comes here
        };
        behalf.or_else(own).map_or(Cause::Unknown, |behalf| behalf.cause())
    }

    /// Whether a connection is that of this process's supervisor.
    fn is_supervisors(&mut self, id: ConnId) -> bool {
        let supervisor = self.succession.supervisor.as_ref().map(|supervisor| supervisor.pid);
        let peer = *Connection::new(&mut self.net, id).peer();
        matches!(peer, Peer::Unix { pid, .. } if supervisor == Some(pid as u32))
    }

    /// The answer to `id` is what all generations say.
    pub(super) fn ask_all(&mut self, id: ConnId, question: Question) {
        self.succession.askers.push((id, question));
        self.wait_for_answer(id);
        if !self.ask_others() {
            self.answer_status();
        }
    }

    fn restart_for(&mut self, id: ConnId, behalf: Option<Behalf>, how: Restart) {
        self.wait_for_answer(id);
        let cause = self.cause_of(id, behalf);
        self.net.requests.push(Request::Restart { how, by: Some(id), cause });
    }

    /// The restart that this signal asks for.
    fn like(&self, number: i32) -> Option<Restart> {
        let mut triggers = self.succession.triggers.iter();
        triggers.find_map(|(signal, trigger)| match trigger {
            Trigger::Restart(how) if signal.number() == number => Some(how.clone()),
            _ => None,
        })
    }

    /// A restart as a signal would ask for it: with this engine, if one is named.
    pub(super) fn template(&self, engine: Option<Engine>) -> Restart {
        let restarts = self.succession.triggers.iter().filter_map(|(_, trigger)| match trigger {
            Trigger::Restart(how) => Some(how),
            Trigger::Leave | Trigger::Service => None,
        });
        let mut fitting = restarts.filter(|how| engine.is_none_or(|engine| how.engine == engine));
        fitting.next().cloned().unwrap_or_else(|| match engine {
            Some(Engine::Fork) => Restart::fork(),
            Some(Engine::ForkExec) | None => Restart::fork_exec(),
        })
    }

    pub(super) fn wait_for_answer(&mut self, id: ConnId) {
        Connection::new(&mut self.net, id).pause();
        self.set_heartbeat(id);
    }

    fn set_heartbeat(&mut self, id: ConnId) {
        let rare = self.net.conns[id.slot()].rare();
        if let Some(every) = rare.and_then(|rare| rare.heartbeat) {
            Connection::new(&mut self.net, id).set_timer(HEARTBEAT, every);
        }
    }

    /// Whoever waits hears that this process turns, unless there is more to hear already.
    pub(in crate::turn) fn beat(&mut self, id: ConnId) {
        let conn = &self.net.conns[id.slot()];
        if conn.phase != ConnPhase::Open || !conn.flags.paused {
            return;
        }
        if conn.output.is_empty() {
            Connection::new(&mut self.net, id).send(control::HEARTBEAT);
        }
        self.set_heartbeat(id);
    }

    pub(in crate::turn) fn is_control(&mut self, id: ConnId) -> bool {
        self.net.conn(id).is_some_and(|conn| conn.flags.caller.is_operator())
    }

    /// Answers a request, and goes on with the next one.
    pub(in crate::turn) fn answer(&mut self, id: ConnId, text: &str) {
        if let Some(conn) = self.net.conn(id)
            && conn.phase == ConnPhase::Open
        {
            let mut conn = Connection::new(&mut self.net, id);
            conn.send(control::reply(text).as_bytes());
            conn.cancel_timer(HEARTBEAT);
            conn.resume();
        }
    }

    pub(in crate::turn) fn answer_verdict(&mut self, id: ConnId, verdict: &Verdict) {
        self.answer(id, &control::verdict(verdict));
    }

    pub(in crate::turn) fn answer_roll_back(&mut self, text: &str) {
        if let Some((_, Some(by))) = self.succession.hands_back.take() {
            self.answer(by, text);
        }
    }

    /// Answers those who wait for reports, if all that were asked have answered.
    pub(in crate::turn) fn answer_status(&mut self) {
        let others = self.succession.old.iter().chain(&self.succession.older);
        if !others.into_iter().any(|other| other.asked) {
            self.answer_status_now();
        }
    }

    /// Answers them with what there is.
    pub(in crate::turn) fn answer_status_now(&mut self) {
        if self.succession.askers.is_empty() {
            return;
        }
        for (id, question) in std::mem::take(&mut self.succession.askers) {
            match question {
                Question::Status => {
                    let text = self.status();
                    self.answer(id, &text);
                }
                Question::Metrics => {
                    let text = self.metrics();
                    self.answer(id, &text);
                }
                Question::Scrape { head_only } => self.answer_scrape(id, head_only),
            }
        }
    }

    /// The newest first.
    fn status(&mut self) -> String {
        let own = self.report();
        let mut lines = Vec::new();
        if let Some(attempt) = self.succession.attempt.as_ref().filter(|a| !a.is_check()) {
            let released = matches!(self.succession.phase, Phase::Released | Phase::TakingBack);
            let phase = if released { Phase::Probation.name() } else { "starting" };
            lines.push(StatusLine { who: attempt.identity(), phase, report: None });
        }
        let who = self.succession.identity(&self.net);
        lines.push(StatusLine { who, phase: "", report: Some(&own) });
        let old = self.succession.old.iter().filter(|old| !self.is_supervisor(old.who));
        for other in old.chain(self.succession.older.iter().rev()) {
            // One that does not answer hangs, or was stopped.
            let report = other.report.as_ref().filter(|_| !other.asked);
            lines.push(StatusLine { who: other.who, phase: "silent", report });
        }
        let count = lines.len();
        let plural = if count == 1 { "" } else { "s" };
        let mut text = format!("ok: {count} generation{plural}");
        if let Some(supervisor) = &self.succession.supervisor {
            let state = if supervisor.is_alive() { "" } else { ", which is gone" };
            text.push_str(&format!(", supervised by pid {}{state}", supervisor.pid));
        }
        lines.iter().fold(text, |all, line| format!("{all}\n{line}"))
    }

    /// This process leaves: whoever waits for an answer gets it now.
    pub(in crate::turn) fn answer_waiting(&mut self) {
        self.answer_roll_back("error: this process was told to stop");
        self.answer_status_now();
    }

    /// Operators find the newest generation by connecting anew.
    pub(in crate::turn) fn dismiss_controls(&mut self) {
        self.answer_waiting();
        self.succession.waiters.clear(); // the newest one knows what they wait for
        for id in self.controls() {
            self.net.finish(id, Reason::Closed);
        }
    }

    /// The connections of operators.
    pub(in crate::turn) fn controls(&self) -> Vec<ConnId> {
        let ids = self.net.callers.iter().copied();
        ids.filter(|id| self.net.conns[id.slot()].flags.caller.is_operator()).collect()
    }

    /// The other generations had their time to answer.
    pub(in crate::turn) fn reports_due(&mut self) {
        self.answer_status_now();
    }
}
