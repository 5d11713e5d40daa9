//! One request and its reply: what is done with each head, body and download. Knows the connection
//! only as [`Connection`], and never looks at bytes itself.
//!
//! ```text
//! Head --- a head without a body ----------------------> respond -> Head, or close
//!   \----- a head with a body ----> Upload --- its end --/      \-> Download --- all sent --/
//! ```
//!
//! Every request gets exactly one final reply, and for a request with a body that nobody wants it
//! comes after the body, unless the connection is closed with it: a reply before the end of a body that
//! turns out to be malformed would have to be followed by a second one.

use std::{fmt::Display, io::Write, rc::Rc, time::Instant};

use heirloom::{Connection, Error, Result};
use serde::{Deserialize, Serialize};

use super::{
    BLOCK, FAREWELL, GRACE, HEAD_DUE, HEAD_TIME, HELLO, Http,
    body::Body,
    cksum::Cksum,
    reply::{After, BYTES, CONTINUE, Extent, Head, JSON, LAST_CHUNK, Refusal, Status, TEXT},
    request::{self, Expectation, Framing, Method},
    route::{self, Route},
};

/// The longest upload. Nothing of it is held, so this is only to end what might go on for ever.
const MAX_BODY: u64 = 1 << 30;

/// The longest body that is read only to be thrown away. Up to here that is cheaper than a new
/// connection (Go: 256 KiB).
const MAX_UNWANTED: u64 = 64 * 1024;

/// What one connection must remember.
#[derive(Debug, Default, Serialize, Deserialize)]
pub struct Session {
    pub stage: Stage,
    /// A part of a head has come; the reactor has it.
    pub half_read: bool,
    /// This process is leaving. Until then it answers all that was pipelined before it says so.
    #[serde(skip)]
    pub grace_ends: Option<Instant>,
}

/// What comes next.
#[derive(Debug, Default, Serialize, Deserialize)]
pub enum Stage {
    #[default]
    Head,
    /// A body comes in.
    Upload(Exchange, Body),
    /// A body goes out, and the client is slower than we are. The connection is paused.
    Download { left: u64, after: After },
}

/// A request after its head: what is left to do.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct Exchange {
    pub answer: Answer,
    /// HEAD: the reply has no body.
    pub head_only: bool,
    /// For an echo, which is framed as it came.
    pub framing: Framing,
    pub after: After,
    /// The reply has begun, so it is too late to refuse.
    pub begun: bool,
    /// Of the body so far, if somebody wants to know.
    pub sum: Cksum,
}

pub type Answer = std::result::Result<Route, Refusal>;

impl Session {
    /// Whether nothing of a next request has been seen.
    pub fn is_between_requests(&self) -> bool {
        matches!(self.stage, Stage::Head) && !self.half_read
    }

    /// What becomes of the connection after the reply that is due now, with `behind` waiting to be
    /// read. A process that is leaving says so in the last reply, and nothing may be answered after
    /// that (RFC 9112, section 9.6). So while requests are there already, it is not the last one, but
    /// a client that never stops to send does not keep the process. A lame duck says it as well: a balancer whose pool has
    /// a connection to it is rid of that in good order, and none is left to be closed under a request.
    fn after(&self, wish: After, conn: &Connection<'_>, behind: &[u8]) -> After {
        match self.grace_ends {
            Some(end) if conn.now() >= end || is_blank(behind) => After::Close,
            None if conn.net.lame_duck().is_some() && is_blank(behind) => After::Close,
            _ => wish,
        }
    }
}

/// Nothing, or the empty lines that a client may send before a head.
fn is_blank(input: &[u8]) -> bool {
    input.iter().all(|byte| b"\r\n".contains(byte))
}

impl Http {
    /// A head, if it is whole.
    pub fn take_head(
        &self,
        conn: &mut Connection<'_>,
        session: &mut Session,
        input: &[u8],
    ) -> Result<usize> {
        let (request, taken) = match request::parse(input) {
            Ok(Some(found)) => found,
            Ok(None) => {
                // Empty lines before a head mean nothing.
                if !session.half_read && !is_blank(input) {
                    session.half_read = true;
                    conn.set_timer(HEAD_DUE, HEAD_TIME);
                }
                return Ok(0);
            }
            // What cannot be read may still be known for a HEAD, whose reply has no body.
            Err(refusal) => return Err(self.refuse(conn, refusal, input.starts_with(b"HEAD "))),
        };
        if std::mem::take(&mut session.half_read) {
            conn.cancel_timer(HEAD_DUE);
        }
        let answer = match request.expects {
            Expectation::Unknown => Err(route::NOT_MET),
            _ => Route::find(request.method, request.path),
        };
        let mut exchange = Exchange {
            answer,
            head_only: request.method == Method::Head,
            framing: request.framing,
            after: request.after,
            begun: false,
            sum: Cksum::default(),
        };
        let is_wanted = answer.is_ok_and(Route::wants_body);
        match Body::new(request.framing, if is_wanted { MAX_BODY } else { MAX_UNWANTED }) {
            Ok(None) => {
                exchange.after = session.after(exchange.after, conn, &input[taken..]);
                self.respond(conn, session, exchange, 0);
            }
            Ok(Some(_)) if request.expects != Expectation::Nothing && !is_wanted => {
                // The client may send the body nevertheless, or not: it is unclear what comes next.
                exchange.after = After::Close;
                self.respond(conn, session, exchange, 0);
            }
            Ok(Some(body)) => {
                if request.expects == Expectation::Continue {
                    conn.send(CONTINUE);
                }
                session.stage = Stage::Upload(exchange, body);
            }
            Err(refusal) => self.fail(conn, session, exchange, refusal)?,
        }
        Ok(taken)
    }

    /// A piece of a body, whatever has come of it.
    pub fn take_body(
        &self,
        conn: &mut Connection<'_>,
        session: &mut Session,
        input: &[u8],
    ) -> Result<usize> {
        let Session { stage: Stage::Upload(exchange, body), .. } = session else { return Ok(0) };
        let piece = match body.next(input) {
            Ok(piece) => piece,
            Err(refusal) => {
                let exchange = *exchange;
                self.fail(conn, session, exchange, refusal)?;
                return Ok(input.len());
            }
        };
        let received = body.received();
        let echoed = if exchange.answer == Ok(Route::Echo) { piece.data } else { &[] };
        let mut exchange = *exchange;
        if !exchange.begun && (piece.is_last || !echoed.is_empty()) {
            // What follows the first piece of an echo is the rest of its body, for all that is known.
            let behind = if piece.is_last { &input[piece.taken..] } else { &[] };
            exchange.after = session.after(exchange.after, conn, behind);
        }
        if !echoed.is_empty() {
            self.echo(conn, &mut exchange, echoed);
        }
        if exchange.answer == Ok(Route::Cksum) {
            exchange.sum.add(piece.data);
        }
        if piece.is_last {
            self.respond(conn, session, exchange, received);
        } else if let Stage::Upload(begun, _) = &mut session.stage {
            *begun = exchange;
        }
        Ok(piece.taken)
    }

    /// Sends a piece back, framed as it came.
    fn echo(&self, conn: &mut Connection<'_>, exchange: &mut Exchange, data: &[u8]) {
        self.begin_echo(conn, exchange);
        match exchange.framing {
            Framing::Length(_) => conn.send(data),
            Framing::Chunked => {
                put(conn, format_args!("{:x}\r\n", data.len()));
                conn.send(data);
                conn.send(b"\r\n");
            }
        }
    }

    /// The head of an echo comes with its first piece: until then it can be refused.
    fn begin_echo(&self, conn: &mut Connection<'_>, exchange: &mut Exchange) {
        if std::mem::replace(&mut exchange.begun, true) {
            return;
        }
        let extent = match exchange.framing {
            Framing::Length(length) => Extent::Length(length),
            Framing::Chunked => Extent::Chunked,
        };
        put(conn, Head { extent, ..self.head(Status::Ok, BYTES, exchange.after) });
    }

    /// The body is wrong, or too long: nobody knows where the next request begins.
    fn fail(
        &self,
        conn: &mut Connection<'_>,
        session: &mut Session,
        exchange: Exchange,
        refusal: Refusal,
    ) -> Result {
        if exchange.begun {
            return Err(refusal.why.into()); // a reply that ends early is all that can be said
        }
        let is_unwanted = !exchange.answer.is_ok_and(Route::wants_body);
        if is_unwanted && refusal.status == Status::ContentTooLarge {
            self.respond(conn, session, Exchange { after: After::Close, ..exchange }, 0);
            return Ok(());
        }
        Err(self.refuse(conn, refusal, exchange.head_only))
    }

    /// Says why, and hands back what ends the connection.
    pub fn refuse(&self, conn: &mut Connection<'_>, refusal: Refusal, head_only: bool) -> Error {
        self.say_refusal(conn, refusal, After::Close, head_only);
        refusal.why.into()
    }

    /// The request is complete, with a body of `received` bytes: the reply, or what is left of it.
    fn respond(
        &self,
        conn: &mut Connection<'_>,
        session: &mut Session,
        exchange: Exchange,
        received: u64,
    ) {
        let mut exchange = exchange;
        let Exchange { head_only, after, .. } = exchange;
        let ok = |content_type| self.head(Status::Ok, content_type, after);
        match exchange.answer {
            Ok(Route::Hello) if after == After::Keep => {
                let end = if head_only { self.hello_body } else { self.hello.len() };
                conn.send(&self.hello.as_bytes()[..end]);
            }
            Ok(Route::Hello) => say(conn, ok(TEXT), HELLO, head_only),
            Ok(Route::Generation) => say(conn, ok(JSON), &self.describe(), head_only),
            Ok(Route::Count) => say(conn, ok(TEXT), &format!("{received}\n"), head_only),
            Ok(Route::Cksum) => {
                let line = format!("{} {received}\n", exchange.sum.end(received));
                say(conn, ok(TEXT), &line, head_only);
            }
            Ok(Route::Echo) => {
                self.begin_echo(conn, &mut exchange); // if it was empty
                if exchange.framing == Framing::Chunked {
                    conn.send(LAST_CHUNK);
                }
            }
            Ok(Route::Bytes(count)) => {
                put(conn, Head { extent: Extent::Length(count), ..ok(BYTES) });
                let left = if head_only { 0 } else { count };
                session.stage = Stage::Download { left, after };
                return self.download(conn, session);
            }
            Ok(Route::Options(methods)) => {
                let allow = Some(methods.list());
                let head = self.head(Status::NoContent, TEXT, after);
                put(conn, Head { extent: Extent::Nothing, allow, ..head });
            }
            Err(refusal) => self.say_refusal(conn, refusal, after, head_only),
        }
        end(conn, session, after);
    }

    /// Queues as much of a download as may be queued, and the rest when `on_writable` says so.
    pub fn download(&self, conn: &mut Connection<'_>, session: &mut Session) {
        let Stage::Download { left, after } = &mut session.stage else { return };
        while *left > 0 && !conn.is_congested() {
            if *left >= BLOCK as u64 {
                conn.send_shared(Rc::clone(&self.block));
                *left -= BLOCK as u64;
            } else {
                conn.send(&self.block[..*left as usize]);
                *left = 0;
            }
        }
        if *left > 0 {
            // The reactor offers input again a moment before it calls `on_writable`; the next
            // request must not come in between.
            conn.pause();
        } else {
            conn.resume();
            let after = *after;
            end(conn, session, after);
        }
    }

    fn describe(&self) -> String {
        let engine = self.engine.map_or("none".to_owned(), |engine| engine.to_string());
        let (generation, pid) = (self.generation, std::process::id());
        format!("{{\"generation\":{generation},\"pid\":{pid},\"engine\":\"{engine}\"}}\n")
    }

    fn say_refusal(
        &self,
        conn: &mut Connection<'_>,
        refusal: Refusal,
        after: After,
        head_only: bool,
    ) {
        let Refusal { status, why, allow } = refusal;
        let head = Head { allow, ..self.head(status, TEXT, after) };
        say(conn, head, &format!("{why}\n"), head_only);
    }
}

/// Sends a whole reply; for HEAD only what comes before the body.
fn say(conn: &mut Connection<'_>, head: Head, body: &str, head_only: bool) {
    put(conn, Head { extent: Extent::Length(body.len() as u64), ..head });
    if !head_only {
        conn.send(body.as_bytes());
    }
}

/// Queues text. An [`Connection`] takes whatever it is given, so there is no error to tell of.
fn put(conn: &mut Connection<'_>, text: impl Display) {
    let _ = write!(conn, "{text}");
}

/// The reply is complete. One that was begun before the process had to leave did not say so: then
/// the client may have sent a next request already, and gets its grace.
fn end(conn: &mut Connection<'_>, session: &mut Session, after: After) {
    session.stage = Stage::Head;
    if after == After::Close {
        conn.close();
    } else if conn.is_draining() {
        conn.set_timer(FAREWELL, GRACE);
    }
}
