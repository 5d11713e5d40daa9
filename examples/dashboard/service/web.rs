//! What a browser asks for, and what the buttons do.

use std::io::Write;

use heirloom::{Connection, Net, Result};

use super::{
    super::{
        event, guard,
        reply::{After, Extent, Head, JSON, Refusal, Status, TEXT},
        request::{self, Framing, Method},
        route::{Button, Route},
        state::Session,
        tls,
    },
    Dashboard, end_stream,
};

/// One file for the browser, three for the reader.
const PAGE: &str = concat!(
    include_str!("../page/head.html"),
    "<style>\n",
    include_str!("../page/style.css"),
    "</style>\n",
    include_str!("../page/body.html"),
    "<script>\n\"use strict\";\n",
    include_str!("../page/picture.js"),
    include_str!("../page/charts.js"),
    include_str!("../page/page.js"),
    "</script>\n</html>\n"
);
const HTML: &str = "text/html; charset=utf-8";
const EVENTS: &str = "text/event-stream";

/// Nobody lays it, invisible, over buttons of his own. What else it may do it says itself.
const POLICY: &str = "frame-ancestors 'none'";

impl Dashboard {
    pub(super) fn take_request(
        &mut self,
        conn: &mut Connection<'_>,
        session: &mut Session,
        input: &[u8],
    ) -> Result<usize> {
        let (request, taken) = match request::parse(input) {
            Ok(Some(found)) => found,
            Ok(None) => return Ok(0),
            Err(refusal) => {
                self.refuse(conn, refusal, After::Close, input.starts_with(b"HEAD "));
                return Err(refusal.why.into());
            }
        };
        let after = if conn.is_draining() { After::Close } else { request.after };
        let head_only = request.method == Method::Head;
        let admitted = guard::admit(request.from, &self.listen, tls::is_on(conn));
        if request.framing != Framing::Length(0) {
            let long = Refusal::new(Status::ContentTooLarge, "no request here has a body");
            let refusal = admitted.err().unwrap_or(long);
            self.refuse(conn, refusal, After::Close, head_only);
            return Err(refusal.why.into());
        }
        match admitted.and_then(|()| Route::find(request.method, request.path)) {
            Ok(Route::Events) => {
                *session = Session::Stream;
                self.begin_stream(conn, after);
                return Ok(taken);
            }
            Ok(Route::Page) => {
                let head = self.head(conn, Status::Ok, HTML, after);
                say(conn, Head { policy: Some(POLICY), ..head }, PAGE, head_only);
            }
            Ok(Route::Button(_)) if conn.is_draining() => {
                // A client may repeat this one on a new connection (RFC 9110, section 15.5.9).
                let refusal = Refusal::new(Status::RequestTimeout, "this process is leaving");
                self.refuse(conn, refusal, after, head_only);
            }
            Ok(Route::Button(button)) => {
                let head = self.head(conn, Status::Ok, JSON, after);
                say(conn, head, &format!("{{{}}}\n", self.who), head_only);
                self.press(conn.net, button);
            }
            Err(refusal) => self.refuse(conn, refusal, after, head_only),
        }
        if after == After::Close {
            conn.close();
        }
        Ok(taken)
    }

    fn begin_stream(&mut self, conn: &mut Connection<'_>, after: After) {
        let head = self.head(conn, Status::Ok, EVENTS, after);
        put(conn, Head { extent: Extent::Chunked, ..head });
        self.pages.retain(|&page| page != conn.id());
        self.streams.push(conn.id());
        conn.send(&event::greeting(self.state.sequence, &self.who));
        if conn.is_draining() {
            end_stream(conn);
        }
    }

    fn press(&mut self, net: &mut Net, button: Button) {
        match button {
            Button::Add => self.order(net, "add\n"),
            Button::Clear => self.order(net, "clear\n"),
            Button::Restart { engine, moves } => {
                let how = if moves { "move" } else { "stay" };
                self.order(net, &format!("{how} restart {engine}\n"));
            }
            Button::Doom => self.order(net, "doom\n"),
            Button::RollBack => self.order(net, "rollback\n"),
        }
    }

    fn head(
        &self,
        conn: &Connection<'_>,
        status: Status,
        content_type: &'static str,
        after: After,
    ) -> Head {
        let (extent, date) = (Extent::Length(0), self.calendar.date());
        let generation = conn.net.generation();
        Head { status, content_type, extent, date, generation, after, allow: None, policy: None }
    }

    fn refuse(
        &self,
        conn: &mut Connection<'_>,
        Refusal { status, why, allow }: Refusal,
        after: After,
        head_only: bool,
    ) {
        let head = self.head(conn, status, TEXT, after);
        say(conn, Head { allow, ..head }, why, head_only);
    }
}

/// A whole reply; to HEAD only what comes before the body.
fn say(conn: &mut Connection<'_>, head: Head, body: &str, head_only: bool) {
    put(conn, Head { extent: Extent::Length(body.len() as u64), ..head });
    if !head_only {
        conn.send(body.as_bytes());
    }
}

/// Writing to a connection cannot fail: it is queued.
fn put(conn: &mut Connection<'_>, head: Head) {
    let _ = write!(conn, "{head}");
}
