//! The process that starts the server and watches it from outside: demo clients, the control socket, and
//! pictures for whoever asks. It never restarts.
//!
//! Its clients are not the load client of `common`, which waits for its answer in a thread of its own: they are
//! connections that this server has dialed, as any server on heirloom would, in one loop with all the rest.

use std::{
    collections::VecDeque,
    env, fs,
    io::Write,
    os::unix::fs::DirBuilderExt,
    path::{Path, PathBuf},
    process::{self, Child, ExitCode},
    time::{Duration, Instant},
};

use heirloom::{
    Alarm, ConnId, Connection, Drain, Net, Origin, Reason, Result, Server, Service, Start,
    Timeouts, Timer, codec,
};

use super::{
    clients::Clients,
    generations::{self, Generation},
    journal::{self, Journal},
    launch,
    options::Options,
    picture,
    place::Place,
};

/// Time for a new picture, and for a question about the next one.
const TICK: Alarm = Alarm(0);
const TICK_EVERY: Duration = Duration::from_millis(200);

/// A client's next request.
const NEXT: Timer = Timer(0);

/// Between an answer and the next request of a client; each has its own, so that they spread.
const THINK: Duration = Duration::from_millis(300);
const THINK_SPREAD: u64 = 200;

/// What the button adds, and where it ends: more dots than that are no picture.
const MORE: usize = 100;
const MOST: usize = 500;

/// A server that does not answer its control socket for this many ticks is gone.
const PATIENCE: u32 = 50;

/// Tags of the control socket, for a question and for a wish; a client's is its number.
const STATUS: u64 = 0;
const WISH: u64 = u64::MAX;

/// The longest line that anybody says here.
const MAX_LINE: usize = 4096;

struct Observer<'a> {
    dir: PathBuf,
    /// The first process of the server, and the exit status of this one if it was the last as well.
    server: &'a mut Child,
    status: &'a mut ExitCode,
    clients: Clients,
    generations: Vec<Generation>,
    journal: Journal,
    /// The last restart, as the process has put it that was to be replaced.
    restart: Option<String>,
    /// The next new process is to fail.
    doomed: bool,
    /// Where the server has said that demo clients come to.
    door: String,
    /// What the control socket is to be asked for.
    wishes: VecDeque<String>,
    /// Server processes that want pictures.
    feeds: Vec<ConnId>,
    /// Ticks without an answer of the control socket.
    silent: u32,
}

enum Session {
    /// A server process.
    Feed,
    /// A question to the control socket, and its reply so far.
    Status(String),
    /// What the page wants of the server, on the control socket.
    Wish,
    /// `asked`: an answer is due.
    Client { number: u64, asked: Option<Instant> },
}

pub fn run(options: &Options) -> Result<ExitCode> {
    let dir = env::temp_dir().join(format!("heirloom-dashboard-{}", process::id()));
    fs::DirBuilder::new()
        .mode(0o700)
        .create(&dir)
        .map_err(|e| format!("{}: {e}", dir.display()))?;
    let result = observe(options, &dir);
    let _ = fs::remove_dir_all(&dir);
    result
}

fn observe(options: &Options, dir: &Path) -> Result<ExitCode> {
    let mut server = launch::start(options, dir)?;
    let mut status = ExitCode::SUCCESS;
    let observer = Observer {
        dir: dir.to_owned(),
        server: &mut server,
        status: &mut status,
        clients: Clients::new(MORE),
        generations: Vec::new(),
        journal: Journal::default(),
        restart: None,
        doomed: false,
        door: String::new(),
        wishes: VecDeque::new(),
        feeds: Vec::new(),
        silent: 0,
    };
    let result = watch(observer, dir);
    launch::end(&mut server, dir);
    result.map(|()| status)
}

fn watch(observer: Observer<'_>, dir: &Path) -> Result {
    Server::new(observer)?
        .listen(&format!("unix:{}", dir.join("feed").display()))?
        .timeouts(Timeouts::new().first_message(None)) // a server process has nothing to say most of the time
        .drain_on_stop(Drain::deadline(Duration::ZERO))
        .run()
}

impl Observer<'_> {
    fn dial(&self, net: &mut Net, address: &str, tag: u64) {
        if let Err(e) = net.dial(address, tag) {
            log::error!("{e}");
        }
    }

    fn dial_control(&self, net: &mut Net, tag: u64) {
        let address = format!("unix:{}", self.dir.join("control").display());
        self.dial(net, &address, tag);
    }

    /// The exit status of a server that could not serve: it has said why.
    fn failed_to_start(&mut self) -> Option<ExitCode> {
        if !self.generations.is_empty() {
            return None; // it did
        }
        let ended = self.server.try_wait().ok().flatten()?;
        if ended.success() {
            return None; // so it ends where a restart was quicker than our first question
        }
        let code = ended.code().and_then(|code| u8::try_from(code).ok());
        Some(code.map_or(ExitCode::FAILURE, ExitCode::from))
    }

    fn ask(conn: &mut Connection<'_>, asked: &mut Option<Instant>) {
        *asked = Some(conn.now());
        conn.send(b"who\n");
    }

    fn show(&mut self, net: &mut Net) {
        for generation in &mut self.generations {
            generation.memory = generations::memory(generation.pid);
        }
        let Observer { generations, clients, journal, restart, doomed, .. } = self;
        let now = journal::now();
        let picture = picture::lay_out(generations, clients, journal, restart, *doomed, now);
        self.tell_all(net, &format!("picture {picture}"));
    }

    /// What every process of the server has to know.
    fn tell_all(&self, net: &mut Net, line: &str) {
        for &feed in &self.feeds {
            net.get(feed).iter_mut().for_each(|conn| conn.send(line.as_bytes()));
        }
    }

    fn doom(&mut self, net: &mut Net, doomed: bool) {
        self.doomed = doomed;
        self.tell_all(net, &format!("doomed {doomed}\n"));
    }

    fn wish(&mut self, net: &mut Net, wish: &str) {
        self.wishes.push_back(format!("{wish}\n"));
        self.dial_control(net, WISH);
    }

    /// What a process of the server says: an order of the page, or what has happened to it.
    fn obey(&mut self, net: &mut Net, order: &str) {
        match order.split_once(' ').unwrap_or((order, "")) {
            ("add", _) => {
                self.clients.wanted = MOST.min(self.clients.wanted + MORE);
                let all = self.clients.wanted;
                self.journal
                    .note("clients", &format!("More clients were asked for: {all} in all."));
            }
            ("clear", _) => {
                self.clients.wanted = 0;
                let here: Vec<_> = net.ids();
                for id in here.into_iter().filter(|id| !self.feeds.contains(id)) {
                    net.get(id).iter_mut().for_each(Connection::close);
                }
                self.journal.note("clients", "All clients were sent home.");
            }
            ("doom", _) => {
                self.doom(net, true);
                self.journal.note("plan", "The next new generation is to fail.");
            }
            ("spare", _) => self.doom(net, false),
            // Whoever is asked to restart has read by then what was told before: it looks after its
            // connections first.
            (how @ ("move" | "stay"), wish) => {
                self.tell_all(net, &format!("moves {}\n", how == "move"));
                self.wish(net, wish);
            }
            ("rollback", _) => self.wish(net, order),
            ("door", address) => self.door = address.to_owned(),
            ("note", line) => self.journal.take(line),
            ("ended", numbers) => self.restart = Some(numbers.to_owned()),
            _ => log::error!("{order:?} is no order"),
        }
        self.complete(net);
    }

    /// Makes the connections that are missing.
    fn complete(&mut self, net: &mut Net) {
        if self.door.is_empty() {
            return;
        }
        for number in self.clients.missing() {
            self.dial(net, &self.door, number);
        }
    }

    fn take_answer(
        &mut self,
        conn: &mut Connection<'_>,
        number: u64,
        took: Duration,
        line: &[u8],
    ) -> Result {
        let line = std::str::from_utf8(line).map_err(|_| "not a text")?;
        let (place, bye) = line.split_once(' ').unwrap_or((line, ""));
        let place: Place = place.parse().map_err(|_| "not a generation")?;
        self.clients.answered(number, place, took);
        if bye.is_empty() {
            conn.set_timer(NEXT, THINK + Duration::from_millis(number * 37 % THINK_SPREAD));
        } else {
            conn.close(); // and `on_close` makes another
        }
        Ok(())
    }
}

impl Service for Observer<'_> {
    type Session = Session;

    fn on_open(&mut self, conn: &mut Connection<'_>, origin: Origin) -> Result<Session> {
        Ok(match origin {
            Origin::Dialed { tag: STATUS } => {
                conn.send(b"status\n");
                Session::Status(String::new())
            }
            Origin::Dialed { tag: WISH } => {
                conn.send(self.wishes.pop_front().unwrap_or_default().as_bytes());
                Session::Wish
            }
            Origin::Dialed { tag } => {
                let mut asked = None;
                Observer::ask(conn, &mut asked);
                Session::Client { number: tag, asked }
            }
            _ => {
                self.feeds.push(conn.id());
                writeln!(conn, "doomed {}", self.doomed)?;
                Session::Feed
            }
        })
    }

    fn on_data(
        &mut self,
        conn: &mut Connection<'_>,
        session: &mut Session,
        input: &[u8],
    ) -> Result<usize> {
        let Some((line, taken)) = codec::line(input, MAX_LINE)? else { return Ok(0) };
        match session {
            Session::Feed => self.obey(conn.net, &String::from_utf8_lossy(line)),
            Session::Status(_) | Session::Wish if line.is_empty() => conn.close(),
            Session::Wish => log::info!("{}", String::from_utf8_lossy(line)), // the journal has it from who restarts
            Session::Status(reply) => {
                reply.push_str(&String::from_utf8_lossy(line));
                reply.push('\n');
            }
            Session::Client { number, asked } => {
                let asked = asked.take().ok_or("an answer without a question")?;
                let took = conn.now().saturating_duration_since(asked);
                self.take_answer(conn, *number, took, line)?;
            }
        }
        Ok(taken)
    }

    fn on_timer(
        &mut self,
        conn: &mut Connection<'_>,
        session: &mut Session,
        _timer: Timer,
    ) -> Result {
        if let Session::Client { asked, .. } = session {
            Observer::ask(conn, asked);
        }
        Ok(())
    }

    fn on_close(&mut self, net: &mut Net, id: ConnId, session: Session, why: Reason) {
        match session {
            Session::Feed => self.feeds.retain(|&feed| feed != id),
            Session::Wish => {}
            Session::Status(reply) => {
                let generations = generations::parse(&reply);
                if !generations.is_empty() {
                    self.journal.compare(&self.generations, &generations);
                    (self.generations, self.silent) = (generations, 0);
                }
            }
            Session::Client { number, asked } => {
                let was_sent_home = matches!(why, Reason::Closed);
                if asked.is_some() && !was_sent_home {
                    self.clients.failed += 1;
                    log::warn!("client {number} had no answer: {why}");
                    self.journal.failed(number, &why.to_string());
                }
                self.clients.gone(number);
                if !net.is_draining() {
                    self.complete(net);
                }
            }
        }
    }

    fn on_dial_failed(&mut self, _net: &mut Net, tag: u64, why: std::io::Error) {
        if tag == WISH {
            self.wishes.pop_front();
        } else if tag != STATUS {
            // Before the server has been seen at all it is not late, it is not there yet.
            if !self.generations.is_empty() {
                self.clients.failed += 1;
                self.journal.failed(tag, &why.to_string());
            }
            self.clients.gone(tag);
            log::info!("client {tag}: {why}");
        }
    }

    fn on_alarm(&mut self, net: &mut Net, _key: Alarm) {
        if let Some(status) = self.failed_to_start() {
            *self.status = status;
            return net.stop();
        }
        self.silent += 1;
        if self.silent > PATIENCE {
            log::error!("the server is gone");
            *self.status = ExitCode::FAILURE;
            return net.stop();
        }
        self.show(net);
        if !self.generations.is_empty() {
            self.complete(net);
        }
        self.dial_control(net, STATUS);
        net.set_alarm(TICK, TICK_EVERY);
    }

    fn on_start(&mut self, net: &mut Net, _start: Start) {
        net.set_alarm(TICK, Duration::ZERO);
    }

    /// It owns nothing but memory.
    fn discard(&mut self, session: Session) {
        drop(session);
    }
}
