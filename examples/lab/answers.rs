//! Answers to those who have asked, at once or later. Knows no request.

use heirloom::{ConnId, Connection, Net};

use crate::Lab;

impl Lab {
    /// Answers the one who waits under `key`, if it is still there.
    pub fn answer(&mut self, net: &mut Net, key: u64, text: &str) {
        if let Some(id) = self.state.waiting.remove(&key) {
            Lab::tell(net, id, text);
        }
    }

    /// The answer to a connection that was paused until it came.
    pub fn tell(net: &mut Net, id: ConnId, text: &str) {
        if let Some(mut conn) = net.get(id) {
            say(&mut conn, text);
            conn.resume();
        }
    }

    /// Makes the connection wait for an answer under `key`.
    pub fn wait(&mut self, conn: &mut Connection<'_>, key: u64) {
        self.state.waiting.insert(key, conn.id());
        conn.pause();
    }
}

pub fn say(conn: &mut Connection<'_>, text: &str) {
    conn.send(text.as_bytes());
    conn.send(b"\n");
}
