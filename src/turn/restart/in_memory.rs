//! A restart without processes, for the harness: the same bytes, and the same callbacks in the same order.
//! What goes between two processes as a message is a call here. The part of it that is fork-exec's own is
//! `copy_to`; that of fork is in `twin`.

use std::{io, process};

use super::loading::{load, load_changes};
use super::moving::Hitch;
use crate::{
    cause::Cause,
    error::{Error, Result},
    limits::SERIALS_APART,
    net::{Net, Stream},
    plan::{Engine, Restart},
    restart::{
        Event, Phase,
        engine::task::Task,
        link::{Message, WayBack},
        transfer::{
            pack::pack,
            record::{self, Record},
            stream::{Reader, Writer},
        },
    },
    service::{Service, Start},
    turn::{
        Turn,
        generation::{Handback, Succession},
        guard::guard_restart,
    },
    verdict::{RestartError, Steps},
};

/// Changes in a round that is not the last.
const PIECE: usize = 3;

/// The number of a child that is no process.
pub(super) const CHILD: u32 = 0;

fn in_memory(e: io::Error) -> Error {
    Error::io("write", "to memory", e)
}

/// What is said of a new side that is dead.
fn died(in_probation: bool) -> RestartError {
    let how = "killed by SIGKILL".to_owned();
    RestartError::Died { how, in_probation, stderr: String::new() }
}

impl<S: Service> Turn<S> {
    /// Up to where the new side is ready: it has the state and the connections that move, and this one
    /// has them as well, frozen. Neither serves them before one of the calls below.
    ///
    /// # Errors
    /// When the state is not saved or not loaded. This side has gone on by then, as
    /// after [`give_up_in_memory`](Self::give_up_in_memory).
    pub fn copy_to<N: Service>(&mut self, service: N, how: &Restart) -> Result<Turn<N>> {
        self.succession.phase = Phase::Handed;
        self.net.staged.how = Some(how.clone());
        let copied = self.try_copy_to(service, how);
        self.forget_changes();
        if let Err(why) = &copied {
            self.give_up_in_memory(why.to_string());
        }
        copied
    }

    fn try_copy_to<N: Service>(&mut self, service: N, how: &Restart) -> Result<Turn<N>> {
        let now = self.net.clock.now();
        let mut net = Net::new(None, now);
        net.clock = self.net.clock.clone();
        net.limits = self.net.limits.clone();
        net.timeouts = self.net.timeouts.clone(); // what `main` says, in both programs
        net.propagates_panics = self.net.propagates_panics;
        net.generation = self.net.generation + 1;
        net.engine = Some(Engine::ForkExec);
        let handback = Some(Handback::new(WayBack::of(how, record::VERSION)));
        let place = Succession::in_memory(now);
        let succession = Succession { phase: Phase::Waiting, serves: false, handback, ..place };
        let mut successor = Turn::new(service, net, succession);
        self.copy_state_to(&mut successor, how.moves)?;
        successor.net.last_serial = self.net.last_serial;
        let alarms = self.hand_over_alarms();
        let (records, streams) = self.pack_in_memory()?;
        for word in alarms {
            if let Ok(Some(Message::Alarms(words))) = Message::decode(&word.encode()) {
                successor.inherit_alarms(words);
            }
        }
        successor.net.part(self.net.conns.end());
        successor.expect_in_memory(&records, streams)?;
        successor.take_in()?;
        Ok(successor)
    }

    /// The connections that are marked, and their streams.
    fn pack_in_memory(&mut self) -> Result<(Vec<u8>, Vec<Stream>)> {
        let (mut records, mut streams) = (Vec::new(), Vec::new());
        let mut sharing = self.sharing(record::VERSION);
        for id in self.moving().collect::<Vec<_>>() {
            let Some(exported) = self.export(id)?.flatten() else {
                self.net.conns[id.slot()].flags.moves = false; // it stays after all
                continue;
            };
            let conn = &self.net.conns[id.slot()];
            let (stamp, now) = (self.net.stamp(), self.net.clock.now());
            let output = sharing.write(&conn.output);
            pack(conn, Some(exported), output, stamp, now).encode(&mut records);
            streams.push(conn.stream.again());
        }
        Ok((records, streams))
    }

    fn expect_in_memory(&mut self, mut records: &[u8], streams: Vec<Stream>) -> Result {
        for stream in streams {
            let record = Record::decode(&mut records).ok().flatten();
            let record = record.ok_or("a record that was written is not read")?;
            self.expect(record, stream)?;
        }
        Ok(())
    }

    /// What is saved goes through the same codec; what ends meanwhile is a change, where the service notes those.
    fn copy_state_to<N: Service>(&mut self, successor: &mut Turn<N>, moves: bool) -> Result {
        let service = &mut self.service;
        let tracks = guard_restart(&mut self.net, "track_changes", |_| service.track_changes(true));
        let tracks = tracks?;
        if !tracks {
            self.stand_still_in_memory(moves)?;
        }
        let (service, mut out) = (&self.service, Writer::begin(Vec::new()).map_err(in_memory)?);
        guard_restart(&mut self.net, "save", |_| service.save(&mut out))??;
        let stream = out.finish().map_err(in_memory)?;
        let mut saved = Reader::of(stream.as_slice());
        load(&mut successor.service, &mut successor.net, &mut saved)?;
        if tracks {
            self.copy_changes_to(successor, PIECE)?;
            self.stand_still_in_memory(moves)?;
            self.copy_changes_to(successor, usize::MAX)?;
        }
        Ok(())
    }

    fn stand_still_in_memory(&mut self, moves: bool) -> Result {
        self.tell_ends();
        if moves { Ok(self.freeze()?) } else { Ok(()) }
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
        self.go_on_in_memory(RestartError::Failed { reason, stderr: String::new() });
    }

    fn go_on_in_memory(&mut self, why: RestartError) {
        self.net.shared = false;
        self.net.thaw();
        self.net.alarms.resume_all();
        self.succession.phase = Phase::Serving;
        self.succession.heap.ended(CHILD);
        self.verdict_in_memory(Err(why));
    }

    /// The new side is ready: the old one stops accepting. What moves is still its own if that one dies.
    pub fn release_in_memory(&mut self) {
        self.succession.phase = Phase::Released;
        self.succession.returned = Default::default();
        self.net.shared &= self.net.frozen;
        self.net.part(self.net.conns.end());
        self.net.last_serial += SERIALS_APART;
        self.net.stop_accepting(&[]);
        self.tell_retired();
    }

    /// On the old side: the new one takes over, so what moves is that one's.
    pub fn taken_over_in_memory(&mut self) {
        self.let_go();
    }

    /// On the new side: it was released.
    ///
    /// # Errors
    /// None in memory.
    pub fn serve_in_memory(&mut self) -> Result {
        self.succession.phase = Phase::Probation;
        self.net.alarms.resume_all();
        let moved = self.net.connections();
        let start = match self.net.engine() {
            Some(Engine::Fork) => {
                Start::Forked { moved, stayed: std::mem::take(&mut self.succession.stayed) }
            }
            _ => Start::Upgraded { moved },
        };
        self.start_serving(start)?;
        self.net.alarms.track_changes();
        self.prepare_to_hand_back();
        self.net.shared = false;
        self.net.thaw();
        match self.succession.unfit.clone() {
            Some(why) => self.roll_back(why, None, Cause::Callback),
            None => Ok(()),
        }
    }

    /// On the old side: the new one has died, so this one serves what it has.
    ///
    /// # Errors
    /// None in memory.
    pub fn lose_new_in_memory<N: Service>(&mut self, successor: &mut Turn<N>) -> Result {
        if self.succession.phase != Phase::Handed {
            return self.resume_in_memory(successor, None);
        }
        self.go_on_in_memory(died(false));
        Ok(())
    }

    /// On the new side: the old one is gone, so this one serves, with everything that it has.
    ///
    /// # Errors
    /// None in memory.
    pub fn lose_old_in_memory(&mut self) -> Result {
        if self.succession.phase == Phase::Waiting {
            self.serve_in_memory()?;
        }
        self.advance(Event::OldGone)?;
        self.net.alarms.stop_tracking();
        self.net.alarms.resume_all();
        self.close_way_back();
        Ok(())
    }

    /// On the new side: it stays.
    ///
    /// # Errors
    /// None in memory.
    pub fn commit_in_memory(&mut self) -> Result {
        self.net.alarms.stop_tracking();
        self.advance(Event::Proven)?;
        self.close_way_back();
        Ok(())
    }

    /// On the old side: the new one stays.
    ///
    /// # Errors
    /// None in memory.
    pub fn retire_in_memory(&mut self) -> Result {
        self.succession.heap.stays(CHILD);
        self.verdict_in_memory(Ok(process::id()));
        self.advance(Event::Committed)
    }

    /// On the new side: it hands everything back to `old`, because of `reason` if it does not know of one
    /// itself, up to where that one could serve. Answers the reason. After an error both go on as if nobody had
    /// asked.
    ///
    /// # Errors
    /// When the old side cannot take it back.
    pub fn hand_back_in_memory<N: Service>(
        &mut self,
        old: &mut Turn<N>,
        reason: &str,
    ) -> Result<String> {
        if self.succession.phase == Phase::Probation {
            self.roll_back(reason.to_owned(), None, Cause::Callback)?;
        }
        let reason = self.hands_back().unwrap_or_default();
        match self.try_hand_back_in_memory(old) {
            Ok(()) => Ok(reason),
            Err(why) => {
                if old.succession.phase == Phase::TakingBack {
                    old.forget_taken_back();
                    old.advance(Event::NotTaken)?;
                }
                self.advance(Event::NotTaken)?;
                Err(why)
            }
        }
    }

    fn try_hand_back_in_memory<N: Service>(&mut self, old: &mut Turn<N>) -> Result {
        let all = self.save_back().map_err(|hitch| match hitch {
            Hitch::Failed(why) => why,
            Hitch::Overrun(_) => "it took too long".to_owned(),
        })?;
        let (records, streams) = self.pack_in_memory()?;
        for (told, news) in std::mem::take(&mut self.net.staged.alarms) {
            old.net.alarms.apply_changes(news, told);
        }
        old.succession.returned.all = all;
        let pieces = self.succession.handback.iter().flat_map(|handback| &handback.pieces);
        for (number, piece) in (1..).zip(pieces) {
            let piece = piece.try_clone().map_err(|e| Error::io("open", "the state", e))?;
            old.succession.returned.pieces.push((number, piece));
        }
        old.expect_in_memory(&records, streams)?;
        old.succession.phase = Phase::TakingBack;
        old.net.freeze();
        for id in old.try_take_back()? {
            self.net.conn(id).into_iter().for_each(|conn| conn.flags.moves = false);
        }
        Ok(())
    }

    /// On the new side: the old one could serve, so this one lets go of everything.
    ///
    /// # Errors
    /// None in memory.
    pub fn let_go_back_in_memory(&mut self) -> Result {
        self.advance(Event::Taken)
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
            Some(reason) => (Event::HandedBack, RestartError::RolledBack { reason }),
            None => (Event::NewGone, died(true)),
        };
        self.succession.heap.ended(CHILD);
        self.net.shared = false;
        self.advance(event)?;
        self.verdict_in_memory(Err(why));
        Ok(())
    }

    fn verdict_in_memory(&mut self, outcome: std::result::Result<u32, RestartError>) {
        let how = self.net.staged.how.clone();
        let how = how.unwrap_or_else(|| Restart::fork_exec().move_connections());
        let generation = self.net.generation() + 1;
        let task = Task::new(how, None, Cause::Callback, generation, self.net.clock.now());
        self.verdict(&task, Steps::default(), outcome);
    }
}
