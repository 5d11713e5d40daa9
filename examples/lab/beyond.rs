//! The requests about what is no connection: alarms, holds, work in pieces, mail. Knows no socket.

use std::{fs, io::Write, process, sync::mpsc, thread, time::Duration};

use heirloom::{Alarm, Connection, Deferred, Hold, Inbox, Mail, Mailbox, Net, Result, Start};

use crate::{
    Lab,
    requests::number,
    settings::{self, setting},
};

/// Keys from here on are journaled; those below are the lab's own.
const FIRST_KEY: u64 = 100;

/// Messages that the mailbox holds.
const MAILBOX: usize = 1000;

/// What is left behind by these requests.
#[derive(Default)]
pub struct Beyond {
    holds: Vec<(String, Hold)>,
    /// Pieces that are left of each job, and how long one takes.
    jobs: Vec<(Deferred, u64, Duration)>,
    mailbox: Option<Mailbox<String>>,
    /// A thread that posts what it is given; it ends when its sender goes.
    poster: Option<mpsc::Sender<(String, Duration)>>,
    /// Mail that came.
    mail: Vec<String>,
    started: bool,
}

/// A line of `LAB_JOURNAL`, where all generations write down what must be done exactly once.
pub fn journal(net: &Net, what: &str) {
    let Some(path) = std::env::var_os("LAB_JOURNAL") else { return };
    let file = fs::OpenOptions::new().create(true).append(true).open(path);
    let line = format!("{} {} {what}\n", net.generation(), process::id());
    file.and_then(|mut file| file.write_all(line.as_bytes())).expect("a journal");
}

impl Beyond {
    /// With a mailbox if there is to be one; otherwise it is dropped, and so does not exist.
    pub fn new() -> (Beyond, Inbox<String>) {
        let (mailbox, inbox) = heirloom::mailbox(MAILBOX);
        let messages = setting::<usize>("MAILBOX");
        let mailbox = messages.map(|_| mailbox);
        if let (Some(mailbox), Some(2)) = (&mailbox, messages) {
            mailbox.try_send("soon".to_owned()).expect("an empty mailbox");
        }
        (Beyond { mailbox, ..Beyond::default() }, inbox)
    }

    /// A request and its answer; `None`: it is none of these.
    pub fn handle(
        &mut self,
        conn: &mut Connection<'_>,
        verb: &str,
        rest: &str,
    ) -> Result<Option<String>> {
        let (first, second) = rest.split_once(' ').unwrap_or((rest, ""));
        let net = &mut *conn.net;
        let millis = |text: &str| number(text).map(Duration::from_millis);
        match verb {
            "hold" => self.holds.push((rest.to_owned(), net.hold(rest.to_owned()))),
            "hold-within" => {
                let hold = net.hold_within(second.to_owned(), millis(first)?);
                self.holds.push((second.to_owned(), hold));
            }
            "release" => self.unhold(net, rest),
            // Keys and milliseconds, as many pairs as there are.
            "once" | "every" => {
                let words: Vec<_> = rest.split(' ').collect();
                for pair in words.chunks(2) {
                    let [key, time] = pair else { return Err("a key and a time".into()) };
                    let (key, time) = (Alarm(FIRST_KEY + number::<u64>(key)?), millis(time)?);
                    match verb {
                        "once" => net.set_alarm(key, time),
                        _ => net.set_interval(key, time),
                    }
                }
            }
            "clear" => net.cancel_alarm(Alarm(FIRST_KEY + number::<u64>(rest)?)),
            "alarms" => {
                let alarms = net.alarms().into_iter().filter(|alarm| alarm.key.0 >= FIRST_KEY);
                let words = alarms.map(|alarm| (alarm.key.0 - FIRST_KEY).to_string());
                return Ok(Some(words.collect::<Vec<_>>().join(",")));
            }
            // A job of so many pieces, each of which takes so many milliseconds.
            "job" => {
                let key = Deferred(self.jobs.len() as u64);
                self.jobs.push((key, number(first)?, millis(second)?));
                net.defer(key);
            }
            "post" => return self.post(rest).map(Some),
            "post-later" => {
                let later = (second.to_owned(), millis(first)?);
                self.poster().send(later).expect("the thread is there");
            }
            "mail" => return Ok(Some(self.mail.join(","))),
            "no-mailbox" => {
                self.mailbox = None;
                self.poster = None;
            }
            _ => return Ok(None),
        }
        Ok(Some("ok".to_owned()))
    }

    /// From this thread, all at once: so many messages.
    fn post(&mut self, count: &str) -> Result<String> {
        let mailbox = self.mailbox.as_ref().ok_or("LAB_MAILBOX is not set")?;
        let posted = (0..number(count)?).map_while(|n: u64| mailbox.try_send(n.to_string()).ok());
        Ok(posted.count().to_string())
    }

    fn poster(&mut self) -> &mpsc::Sender<(String, Duration)> {
        let mailbox = self.mailbox.clone();
        self.poster.get_or_insert_with(|| {
            let (sender, receiver) = mpsc::channel::<(String, Duration)>();
            thread::spawn(move || {
                let mailbox = mailbox.expect("LAB_MAILBOX is set");
                for (text, after) in receiver {
                    thread::sleep(after);
                    if let Err(e) = mailbox.try_send(text) {
                        eprintln!("lab: {e}");
                    }
                }
            });
            sender
        })
    }

    /// Gives back the holds of that name; all, if there is none.
    pub fn unhold(&mut self, net: &mut Net, name: &str) {
        let (given, kept) = std::mem::take(&mut self.holds)
            .into_iter()
            .partition(|(held, _)| name.is_empty() || name == held);
        self.holds = kept;
        let given: Vec<(String, Hold)> = given;
        given.into_iter().for_each(|(_, hold)| net.unhold(hold));
    }

    /// `false`: the alarm is none of ours.
    pub fn alarm(&mut self, net: &mut Net, Alarm(key): Alarm) -> bool {
        let Some(key) = key.checked_sub(FIRST_KEY) else { return false };
        journal(net, &format!("alarm {key}"));
        if net.generation() > 0 && settings::told().as_deref() == Some("die in alarm") {
            process::abort();
        }
        true
    }

    pub fn deferred(&mut self, net: &mut Net, key: Deferred) {
        let Some((_, left, time)) = self.jobs.get_mut(key.0 as usize) else { return };
        *left -= 1;
        thread::sleep(*time); // work
        let left = *left;
        journal(net, &format!("piece {} {left}", key.0));
        if left > 0 {
            net.defer(key);
        }
    }

    pub fn start(&mut self, start: &Start) {
        self.started = true;
        if !start.is_resumed() {
            self.holds.clear(); // a forked child's are its parent's
            self.jobs.clear();
        }
    }
}

impl Mail<String> for Lab {
    fn on_mail(&mut self, net: &mut Net, text: String) {
        settings::panic_if_told("on_mail");
        let when = if self.beyond.started { "" } else { "before the start: " };
        journal(net, &format!("{when}mail {text}"));
        self.beyond.mail.push(text);
    }
}
