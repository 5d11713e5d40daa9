//! A restart by fork-exec without processes, for the harness: the same bytes, and the same callbacks in the
//! same order. What goes between two processes as a message is a call here.

use std::{io, process};

use super::loading::{load, load_changes};
use crate::{
    error::{Error, Result},
    net::Net,
    plan::{Engine, Restart},
    restart::{
        Event, Phase,
        engine::attempt::Task,
        link::Message,
        transfer::{
            pack::pack,
            record::{self, Record},
            stream::{Reader, Writer},
        },
    },
    service::{Service, Start},
    turn::{Turn, generation::Succession, guard::guard_restart},
    verdict::{RestartError, Steps},
};

/// Changes in a round that is not the last.
const PIECE: usize = 3;

fn in_memory(e: io::Error) -> Error {
    Error::io("write", "to memory", e)
}

impl<S: Service> Turn<S> {
    /// Up to where the new side is ready: it has the state and the connections that move, and this one
    /// has them as well, frozen. Neither serves them before one of the calls below.
    ///
    /// # Errors
    /// When the state is not saved or not loaded. This side has gone on by then, as
    /// after [`give_up_in_memory`](Self::give_up_in_memory).
    pub fn copy_to<N: Service>(&mut self, service: N) -> Result<Turn<N>> {
        self.succession.phase = Phase::Starting;
        let copied = self.try_copy_to(service);
        self.forget_changes();
        if let Err(why) = &copied {
            self.give_up_in_memory(why.to_string());
        }
        copied
    }

    fn try_copy_to<N: Service>(&mut self, service: N) -> Result<Turn<N>> {
        let now = self.net.clock.now();
        let mut net = Net::new(None, now);
        net.clock = self.net.clock.clone();
        net.limits = self.net.limits.clone();
        net.propagates_panics = self.net.propagates_panics;
        net.generation = self.net.generation + 1;
        net.engine = Some(Engine::ForkExec);
        let succession =
            Succession { phase: Phase::Waiting, serves: false, ..Succession::in_memory(now) };
        let mut successor = Turn::new(service, net, succession);
        self.copy_state_to(&mut successor)?;
        successor.net.last_serial = self.net.last_serial;
        let alarms = self.hand_over_alarms();
        let (mut records, mut streams) = (Vec::new(), Vec::new());
        let mut sharing = self.sharing(record::VERSION);
        for id in self.moving().collect::<Vec<_>>() {
            let session = self.sessions.get(id.slot()).and_then(Option::as_ref);
            let old = &self.service;
            let export = |session| guard_restart(&mut self.net, "export", |_| old.export(session));
            let Some(exported) = session.map(export).transpose()?.flatten() else {
                self.net.conns[id.slot()].flags.moves = false; // it stays after all
                continue;
            };
            let conn = &self.net.conns[id.slot()];
            let (stamp, now) = (self.net.stamp(), self.net.clock.now());
            let output = sharing.write(&conn.output);
            pack(conn, Some(exported), output, stamp, now).encode(&mut records);
            streams.push(conn.stream.again());
        }
        for word in alarms {
            if let Ok(Some(Message::Alarms(words))) = Message::decode(&word.encode()) {
                successor.inherit_alarms(words);
            }
        }
        let mut records = records.as_slice();
        for stream in streams {
            let record = Record::decode(&mut records).ok().flatten();
            let record = record.ok_or("a record that was written is not read")?;
            successor.expect(record, stream)?;
        }
        successor.take_in()?;
        Ok(successor)
    }

    /// What is saved goes through the same codec; what ends meanwhile is a change, where the service notes those.
    fn copy_state_to<N: Service>(&mut self, successor: &mut Turn<N>) -> Result {
        let service = &mut self.service;
        let tracks = guard_restart(&mut self.net, "track_changes", |_| service.track_changes(true));
        let tracks = tracks?;
        if !tracks {
            self.tell_ends();
            self.freeze()?;
        }
        let (service, mut out) = (&self.service, Writer::begin(Vec::new()).map_err(in_memory)?);
        guard_restart(&mut self.net, "save", |_| service.save(&mut out))??;
        let stream = out.finish().map_err(in_memory)?;
        let mut saved = Reader::of(stream.as_slice());
        load(&mut successor.service, &mut successor.net, &mut saved)?;
        if tracks {
            self.copy_changes_to(successor, PIECE)?;
            self.tell_ends();
            self.freeze()?;
            self.copy_changes_to(successor, usize::MAX)?;
        }
        Ok(())
    }

    fn copy_changes_to<N: Service>(&mut self, successor: &mut Turn<N>, most: usize) -> Result {
        let (service, mut changes) = (&mut self.service, Vec::new());
        let left = guard_restart(&mut self.net, "save_changes", |_| {
            service.save_changes(&mut changes, most)
        })??;
        if most == usize::MAX && left > 0 {
            return Err("save_changes has kept some although it was to write all".into());
        }
        if changes.is_empty() {
            return Ok(());
        }
        load_changes(&mut successor.service, &mut successor.net, &mut changes.as_slice())
    }

    /// The old side has given the new one up before it was ready: nothing has happened.
    pub fn give_up_in_memory(&mut self, reason: String) {
        self.net.thaw();
        self.net.alarms.resume_all();
        self.succession.phase = Phase::Serving;
        self.verdict_in_memory(Err(RestartError::Failed { reason, stderr: String::new() }));
    }

    /// The new side is ready: the old one stops accepting, and lets go of what has moved.
    pub fn release_in_memory(&mut self) {
        self.succession.phase = Phase::Released;
        self.net.stop_accepting(&[]);
        self.tell_retired();
        self.let_go();
    }

    /// On the new side: it was released.
    ///
    /// # Errors
    /// None in memory.
    pub fn serve_in_memory(&mut self) -> Result {
        self.succession.phase = Phase::Probation;
        self.net.alarms.resume_all();
        self.start_serving(Start::Upgraded)?;
        self.net.alarms.track_changes();
        self.net.shared = false;
        self.net.thaw();
        Ok(())
    }

    /// On the new side: it stays.
    ///
    /// # Errors
    /// None in memory.
    pub fn commit_in_memory(&mut self) -> Result {
        self.net.alarms.stop_tracking();
        self.advance(Event::Proven)
    }

    /// On the old side: the new one stays.
    ///
    /// # Errors
    /// None in memory.
    pub fn retire_in_memory(&mut self) -> Result {
        self.verdict_in_memory(Ok(process::id()));
        self.advance(Event::Committed)
    }

    /// On the new side: it hands back, because of `reason` if it does not know of one itself. Answers the
    /// reason.
    ///
    /// # Errors
    /// None in memory.
    pub fn hand_back_in_memory(&mut self, reason: &str) -> Result<String> {
        if self.succession.phase == Phase::Probation {
            self.roll_back(reason.to_owned(), None)?;
        }
        Ok(self.hands_back().unwrap_or_default())
    }

    /// On the new side: why it is not wanted, if somebody has said so.
    pub fn hands_back(&self) -> Option<String> {
        self.succession.hands_back.as_ref().map(|(reason, _)| reason.clone())
    }

    /// On the new side: the old one serves again.
    ///
    /// # Errors
    /// None in memory.
    pub fn drain_in_memory(&mut self) -> Result {
        self.advance(Event::Resumed)
    }

    /// On the old side: it serves again, since `successor` hands back for this reason, or has died.
    ///
    /// # Errors
    /// None in memory.
    pub fn resume_in_memory<N: Service>(
        &mut self,
        successor: &mut Turn<N>,
        handed_back: Option<String>,
    ) -> Result {
        for (told, news) in std::mem::take(&mut successor.net.staged.alarms) {
            self.net.alarms.apply_changes(news, told);
        }
        let (event, why) = match handed_back {
            Some(reason) => (Event::TakeBack, RestartError::RolledBack { reason }),
            None => {
                let how = "killed by SIGKILL".to_owned();
                let stderr = String::new();
                (Event::NewGone, RestartError::Died { how, in_probation: true, stderr })
            }
        };
        self.advance(event)?;
        self.verdict_in_memory(Err(why));
        Ok(())
    }

    fn verdict_in_memory(&mut self, outcome: std::result::Result<u32, RestartError>) {
        let how = Restart::fork_exec().move_connections();
        let (engine, begun) = (how.engine, self.net.clock.now());
        let generation = self.net.generation() + 1;
        let task = Task {
            how,
            by: None,
            engine,
            generation,
            program: None,
            inventory: None,
            prepared: None,
            begun,
        };
        self.verdict(&task, Steps::default(), outcome);
    }
}
