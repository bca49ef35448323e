//! `maxmemory-clients`: when clients take more memory than they may, those that take most are closed.
//! Knows no kind of buffer: what a client takes is what its session holds, what it is yet to be sent, and what it has
//! announced: who says that a large argument comes is closed before it does, not when it is almost there.
//! Always: the largest go first, and no more of them than needed; whoever asked not to be is never closed for it.

use tenon_base::{ConnectionId, Micros, Now, Outputs, World};
use tenon_config::{Config, Directive};

use crate::engine::Engine;
use crate::server::client_line;
use crate::session::{ClientType, Session};

/// After a look that found nobody to close, how long until the next one.
const FRUITLESS_PAUSE: Micros = Micros(100_000);

/// The limit.
#[derive(Default)]
pub(crate) struct ClientMemory {
    /// Zero for none.
    limit_bytes: u64,
    /// Nobody is looked at before this.
    next_at: Micros,
}

impl ClientMemory {
    pub(crate) fn new(config: &Config) -> ClientMemory {
        let whole = config.memory(Directive::MaxMemory);
        ClientMemory {
            limit_bytes: config.memory_of(Directive::MaxMemoryClients, whole),
            ..Default::default()
        }
    }

    /// Whether there is a limit.
    #[inline]
    pub(crate) fn is_limited(&self) -> bool {
        self.limit_bytes > 0
    }
}

/// Bytes that a client takes, or has announced.
pub(crate) fn client_bytes(session: &Session, outputs: &Outputs) -> usize {
    session.held_bytes() + session.announced_bytes() + outputs.memory_bytes(session.id.slot)
}

impl Engine {
    /// What clients take: their sessions, what they have sent, and what they are to be sent.
    pub(crate) fn clients_bytes(&self, outputs: &Outputs) -> u64 {
        (self.sessions.counted_bytes() + outputs.counted_bytes()) as u64
    }

    /// Before a request runs: it counts for its client. False if the client was closed for it.
    pub(crate) fn has_client_room(
        &mut self,
        now: Now,
        connection: ConnectionId,
        request_bytes: usize,
        world: &mut World<'_>,
    ) -> bool {
        self.sessions.count_with_request(connection, request_bytes);
        self.close_largest(now, world);
        self.sessions.get(connection).is_some_and(|session| !session.is_gone)
    }

    /// Closes the largest clients while all of them together take more than they may.
    #[inline]
    pub(crate) fn close_largest(&mut self, now: Now, world: &mut World<'_>) {
        let limit = self.client_memory.limit_bytes;
        if limit == 0 || now.steady < self.client_memory.next_at {
            return;
        }
        // Announced bytes are nobody's memory yet: they count here, and make no room for themselves in `maxmemory`.
        if self.clients_bytes(world.outputs) + self.sessions.announced_bytes() as u64 > limit {
            self.close_down_to(limit, now, world);
        }
    }

    #[cold]
    fn close_down_to(&mut self, limit: u64, now: Now, world: &mut World<'_>) {
        let counts =
            |session: &&Session| matches!(ClientType::of(session), ClientType::Normal | ClientType::Pubsub);
        let bytes_of = |session: &Session| {
            session.counted_bytes().max(session.held_bytes())
                + session.announced_bytes()
                + world.outputs.memory_bytes(session.id.slot)
        };
        let mut total: u64 = 0;
        let mut clients = Vec::new();
        for session in self.sessions.present().filter(counts) {
            let bytes = bytes_of(session);
            total += bytes as u64;
            if !session.no_evict {
                clients.push((bytes, session.id));
            }
        }
        clients.sort_unstable_by_key(|&(bytes, id)| (std::cmp::Reverse(bytes), id.serial));
        for (bytes, connection) in clients {
            if total <= limit {
                return;
            }
            total -= bytes as u64;
            let Some(session) = self.sessions.get(connection) else { continue };
            let line = client_line(self, world.outputs, now, session);
            tracing::info!("Evicting client: {line}");
            self.stats.evicted_clients += 1;
            self.close(connection, true, world);
        }
        if total > limit {
            self.client_memory.next_at = now.steady + FRUITLESS_PAUSE;
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::testing::Bench;

    /// The value of a field in a line of CLIENT LIST.
    fn field<'a>(line: &'a str, name: &str) -> &'a str {
        let words = line.trim_end().split(' ').filter_map(|word| word.split_once('='));
        words.into_iter().find(|(found, _)| *found == name).unwrap_or_else(|| panic!("no {name} in {line}")).1
    }

    /// Sends the beginning of a request, which stays with the client.
    fn begin_request(bench: &mut Bench, client: u64, bytes: usize) {
        let wire = format!("*2\r\n${}\r\n{}", bytes + 1, "v".repeat(bytes));
        bench.send_bytes(client, wire.as_bytes());
    }

    #[test]
    fn the_largest_are_closed_and_no_more_than_needed() {
        let mut bench = Bench::new(&[]);
        assert_eq!(bench.run(1, "CLIENT NO-EVICT ON"), "OK");
        for client in 2..=5 {
            begin_request(&mut bench, client, client as usize * 100_000);
        }
        assert_eq!(bench.run(1, "CONFIG SET maxmemory-clients 600000"), "OK");
        assert_eq!(bench.closed, [5, 4], "500 and 400 of 1400 kB");
        begin_request(&mut bench, 6, 400_000);
        assert_eq!(bench.closed, [5, 4, 6]);
        assert!(bench.text(1, "INFO stats").contains("evicted_clients:3\r\n"));
        assert_eq!(bench.run(1, "CLIENT LIST").matches("id=").count(), 3);
    }

    #[test]
    fn an_announced_argument_counts_before_it_comes() {
        let mut bench = Bench::new(&[("maxmemory-clients", "100000")]);
        let header = |bytes: usize| format!("*3\r\n$3\r\nSET\r\n$1\r\nk\r\n${bytes}\r\nv");
        bench.send_bytes(2, header(80_000).as_bytes());
        assert!(bench.closed.is_empty());
        let whole: usize = field(&bench.text(1, "CLIENT LIST ID 2"), "tot-mem").parse().expect("a number");
        bench.send_bytes(2, &[b'v'; 40_000]);
        assert_eq!(field(&bench.text(1, "CLIENT LIST ID 2"), "tot-mem"), whole.to_string());
        assert!((80_000..90_000).contains(&whole), "{whole}");
        assert!(bench.text(1, "INFO memory").contains("mem_clients_normal:4"), "what is here, and no more");
        bench.send_bytes(3, header(99_000).as_bytes());
        assert_eq!(bench.closed, [3]);
        bench.send_bytes(2, format!("{}\r\n", "v".repeat(39_999)).as_bytes());
        assert_eq!(bench.run(1, "STRLEN k"), "80000");
        assert_eq!(bench.closed, [3], "what was announced by those who are closed is forgotten");
    }

    #[test]
    fn a_large_request_counts_before_it_runs() {
        let mut bench = Bench::new(&[("maxmemory-clients", "100000")]);
        bench.run(2, &format!("SET k {}", "v".repeat(99_000)));
        assert_eq!(bench.run(1, "STRLEN k"), "99000");
        assert_eq!(bench.run(2, &format!("SET k {}", "v".repeat(100_000))), "");
        assert_eq!(bench.closed, [2]);
        assert_eq!(bench.run(1, "STRLEN k"), "99000");
    }

    #[test]
    fn watched_keys_and_subscriptions_count() {
        for command in ["WATCH", "SUBSCRIBE", "PSUBSCRIBE", "SSUBSCRIBE"] {
            let mut bench = Bench::new(&[("maxmemory-clients", "50000")]);
            let names = (0..2_000).find(|name| {
                bench.run(2, &format!("{command} name:{name}"));
                !bench.closed.is_empty()
            });
            assert!(names.is_some_and(|names| names > 100), "{command}: {names:?}");
        }
    }

    #[test]
    fn tracked_prefixes_count() {
        let mut bench = Bench::new(&[("maxmemory-clients", "50000")]);
        let prefixes = (0..2_000).find(|number| {
            bench.run(2, &format!("CLIENT TRACKING ON BCAST PREFIX p{number:05}"));
            !bench.closed.is_empty()
        });
        assert!(prefixes.is_some_and(|prefixes| prefixes > 100), "{prefixes:?}");
    }

    #[test]
    fn what_is_pushed_to_a_client_that_does_not_read_counts() {
        let mut bench = Bench::new(&[("maxmemory-clients", "300000"), ("enable-debug-command", "yes")]);
        bench.connect(3);
        bench.send_bytes(2, b"SUBSCRIBE __redis__:invalidate\r\n");
        bench.run(1, "CLIENT TRACKING ON BCAST REDIRECT 2");
        bench.run(1, "DEBUG PAUSE-CRON 1");
        let key = "k".repeat(40_000);
        let writes = (0..20).find(|_| {
            bench.run(3, &format!("INCR {key}"));
            // As the flusher does, though the socket takes nothing.
            bench.outputs.take_pushed(&mut Vec::new(), 100);
            bench.closed == [2]
        });
        assert!(writes.is_some_and(|writes| (3..9).contains(&writes)), "{writes:?}");
    }

    #[test]
    fn a_share_of_the_limit_of_all() {
        let mut bench = Bench::new(&[("maxmemory-clients", "10%")]);
        begin_request(&mut bench, 2, 900_000);
        bench.run(1, "CONFIG SET maxmemory 100mb");
        assert!(bench.closed.is_empty(), "without a limit of all there is no share of it");
        begin_request(&mut bench, 3, 15_000_000);
        assert_eq!(bench.closed, [3]);
    }

    #[test]
    fn who_asked_not_to_be_is_spared_until_they_take_it_back() {
        let mut bench = Bench::new(&[("maxmemory-clients", "100000")]);
        bench.run(2, "CLIENT NO-EVICT ON");
        bench.run(1, "SELECT 0");
        bench.sleep(1_000);
        bench.run(2, "CONFIG SET maxmemory-clients 1");
        assert_eq!(bench.closed, [1]);
        bench.sleep(1_000);
        bench.run(2, "CLIENT NO-EVICT OFF");
        bench.sleep(1_000);
        assert_eq!(bench.closed, [1, 2]);
    }
}
