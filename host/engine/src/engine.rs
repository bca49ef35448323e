//! One engine is one tenant: its keyspace, its sessions, its durability, its policies. Decides order, and only
//! its settling lets effects out.
//! Always: effects are appended before the replies that tell of them leave.

use std::collections::{BTreeSet, HashMap};
use std::path::PathBuf;

use tenon_acl::{PasswordMaker, Users};
use tenon_base::{
    ConnectionId, Dice, Input, Job, Lane, ListenError, Machine, Micros, Now, Output, Outputs, Report,
    Reported, Signal, Stamp, Ticket, World,
};
use tenon_commands::{Garbage, Limits, LookupCounts, Unit};
use tenon_config::{Config, Directive, KeyspaceEvents, LogLevel, OutputLimits};
use tenon_journal::Journal;
use tenon_keyspace::Keyspace;
use tenon_resp::{Batch, Limits as DecodeLimits};

use crate::access;
use crate::backups::Backups;
use crate::client_memory::ClientMemory;
use crate::cron::Cron;
use crate::departure::Departure;
use crate::durability::Durability;
use crate::eviction::Eviction;
use crate::failover::Failover;
use crate::latency::LatencyMonitor;
use crate::load::LoadSums;
use crate::loading::Load;
use crate::memory_report::MemoryMarks;
use crate::migration::Migrations;
use crate::pause::Pause;
use crate::policies::Policies;
use crate::pubsub::Pubsub;
use crate::replication::{self, Replication};
use crate::scripts::Scripts;
use crate::server;
use crate::server::acl::log::AccessLog;
use crate::server::slowlog::SlowLog;
use crate::session::Sessions;
use crate::settings;
use crate::setup::{Identity, Milestone, Setup};
use crate::snapshots::Snapshots;
use crate::stats::Stats;
use crate::table::CommandTable;
use crate::tracking::Tracking;
use crate::transition::Transitions;
use crate::waiting::Waiting;
use crate::watch::Watchers;

/// One tenant.
pub struct Engine {
    pub(crate) keyspace: Keyspace,
    pub(crate) sessions: Sessions,
    pub(crate) commands: CommandTable,
    pub(crate) users: Users,
    pub(crate) access_log: AccessLog,
    pub(crate) passwords: PasswordMaker,
    pub(crate) config: Config,
    /// Where the configuration was read from, for CONFIG REWRITE.
    pub(crate) config_file: Option<PathBuf>,
    /// What handlers read of the configuration.
    pub(crate) limits: Limits,
    pub(crate) decode_limits: DecodeLimits,
    pub(crate) lazy_expire: bool,
    /// `client-output-buffer-limit`.
    pub(crate) output_limits: OutputLimits,
    /// `notify-keyspace-events`.
    pub(crate) notified: KeyspaceEvents,
    pub(crate) unit: Unit,
    pub(crate) lookups: LookupCounts,
    pub(crate) dice: Dice,
    /// Keys the tables of large collections.
    pub(crate) seed: u64,
    pub(crate) batch: Batch,
    pub(crate) garbage: Vec<Garbage>,
    pub(crate) journal: Journal,
    pub(crate) durability: Durability,
    pub(crate) snapshots: Snapshots,
    pub(crate) backups: Backups,
    pub(crate) policies: Policies,
    pub(crate) transitions: Transitions,
    pub(crate) slow_log: SlowLog,
    pub(crate) cron: Cron,
    pub(crate) stats: Stats,
    pub(crate) identity: Identity,
    /// What the reply of the running request waits for.
    pub(crate) reply_stamp: Option<Stamp>,
    /// When the last command ended: where the next one's time begins.
    pub(crate) mark: Micros,
    /// Whose request runs.
    pub(crate) executing: Option<ConnectionId>,
    /// An EXEC runs: its commands are one unit.
    pub(crate) is_in_exec: bool,
    /// The running EXEC has emptied all databases.
    pub(crate) has_flushed_in_exec: bool,
    /// How many keys and databases that the running EXEC has touched watchers were told of.
    pub(crate) told_keys: usize,
    pub(crate) told_databases: usize,
    pub(crate) watchers: Watchers,
    pub(crate) pubsub: Pubsub,
    pub(crate) tracking: Tracking,
    /// Where messages are formatted.
    pub(crate) push_frame: Vec<u8>,
    /// Messages to the client whose request runs.
    pub(crate) own_pushes: Vec<u8>,
    /// What the running unit has pushed to others: to whom, and from where on in what they are sent.
    pub(crate) unstamped_pushes: Vec<(ConnectionId, usize)>,
    pub(crate) scripts: Scripts,
    /// Who is told of all commands.
    pub(crate) monitors: Vec<ConnectionId>,
    /// Who is over a soft output limit.
    pub(crate) over_soft_limit: BTreeSet<ConnectionId>,
    pub(crate) listening: ListenState,
    /// What each job in flight is for.
    jobs: HashMap<Ticket, Purpose>,
    next_ticket: u64,
    pub(crate) active_expire: bool,
    /// Writes that wait for the disk to catch up, and since when.
    pub(crate) stalled: Vec<(ConnectionId, Micros)>,
    /// Requests that wait for keys.
    pub(crate) waiting: Waiting,
    pub(crate) pause: Pause,
    /// The load that goes on.
    pub(crate) load: Option<Load>,
    /// What was saved is here, and clients are served.
    pub(crate) is_started: bool,
    /// Somebody has asked for something since the engine last lingered.
    pub(crate) was_asked: bool,
    /// The server ends, and what is in memory is not to be used: a load was given up, or failed at the start.
    pub(crate) is_over: bool,
    /// What was loaded, for INFO and for policies.
    pub(crate) loaded: LoadSums,
    /// The lock on the dump file.
    pub(crate) dump_lock: Option<Box<dyn std::any::Any + Send>>,
    pub(crate) set_log_level: Box<dyn Fn(LogLevel) + Send>,
    pub(crate) set_log_role: Box<dyn Fn(bool) + Send>,
    /// See [`Setup`].
    pub(crate) tell_supervisor: Box<dyn Fn(Milestone) + Send>,
    pub(crate) replication: Replication,
    pub(crate) failover: Failover,
    pub(crate) departure: Option<Departure>,
    /// Keys on their way to other servers.
    pub(crate) migrations: Migrations,
    pub(crate) memory: MemoryMarks,
    pub(crate) eviction: Eviction,
    pub(crate) client_memory: ClientMemory,
    pub(crate) latency: LatencyMonitor,
}

/// Sockets asked for.
#[derive(Debug, Default)]
pub(crate) struct ListenState {
    pub(crate) is_requested: bool,
    pub(crate) is_ready: bool,
    /// Rises whenever certificates and keys are to be read again.
    pub(crate) tls_revision: u64,
}

/// What a job was started for.
pub(crate) enum Purpose {
    Log(tenon_aof::JobId),
    Save,
    Spill,
    Backup,
    ListBackups(ConnectionId),
    SnapshotForReplicas,
    TakeApart,
    Link,
    Migrate,
    Free,
    LoadPolicies,
    WatchPolicies,
    ListPolicies(ConnectionId),
    Listen(Option<ConnectionId>),
}

impl Engine {
    /// An engine with an empty keyspace. `start` loads its data and policies.
    pub fn new(setup: Setup) -> Engine {
        let allocated = || (setup.identity.gauges)().allocated_bytes;
        let (program_bytes, before_bytes) = (setup.identity.program_bytes, allocated());
        let Setup {
            config,
            config_file,
            mut dice,
            secret,
            identity,
            policy_loader,
            set_log_level,
            set_log_role,
            tell_supervisor,
        } = setup;
        let databases = usize::try_from(config.integer(Directive::Databases)).unwrap_or(16).max(1);
        let (started, seed) = (identity.started, dice.roll());
        let mut keyspace = Keyspace::new(databases, &mut dice);
        let limits = settings::limits(&config, seed);
        keyspace.set_access_rule(limits.access);
        let commands = CommandTable::new(tenon_commands::TABLES, server::TABLES, &[]);
        let memory = MemoryMarks::at_start(program_bytes, before_bytes, (identity.gauges)().allocated_bytes);
        let slow_log = SlowLog::new(settings::slow_threshold(&config), settings::slow_kept(&config));
        let tracking = Tracking::new(settings::tracked_keys_max(&config));
        Engine {
            keyspace,
            replication: Replication::new(started, replication::new_id(&mut dice), &config),
            failover: Failover::default(),
            departure: None,
            migrations: Migrations::default(),
            memory,
            sessions: Sessions::default(),
            stats: Stats::new(commands.count(), config.bool(Directive::LatencyTracking)),
            users: access::users(&commands, &config),
            access_log: AccessLog::new(settings::denials_kept(&config)),
            passwords: PasswordMaker::new(secret),
            commands,
            limits,
            eviction: Eviction::new(&config),
            client_memory: ClientMemory::new(&config),
            latency: LatencyMonitor::new(&config),
            decode_limits: settings::decode_limits(&config),
            lazy_expire: config.bool(Directive::LazyfreeLazyExpire),
            output_limits: config.output_limits(),
            notified: config.keyspace_events(),
            config,
            config_file,
            unit: Unit::default(),
            lookups: LookupCounts::default(),
            dice,
            seed,
            batch: Batch::new(),
            garbage: Vec::new(),
            journal: Journal::new(Default::default(), Default::default()),
            durability: Durability::default(),
            snapshots: Snapshots::new(started),
            backups: Backups::default(),
            policies: Policies::new(policy_loader, started),
            transitions: Transitions::default(),
            slow_log,
            cron: Cron::new(started.steady),
            identity,
            reply_stamp: None,
            mark: started.steady,
            executing: None,
            is_in_exec: false,
            has_flushed_in_exec: false,
            told_keys: 0,
            told_databases: 0,
            watchers: Watchers::default(),
            pubsub: Pubsub::default(),
            tracking,
            push_frame: Vec::new(),
            own_pushes: Vec::new(),
            unstamped_pushes: Vec::new(),
            scripts: Scripts::new(seed),
            monitors: Vec::new(),
            over_soft_limit: BTreeSet::new(),
            listening: ListenState::default(),
            jobs: HashMap::new(),
            next_ticket: 1,
            active_expire: true,
            stalled: Vec::new(),
            waiting: Waiting::default(),
            pause: Pause::default(),
            load: None,
            is_started: false,
            was_asked: false,
            is_over: false,
            loaded: LoadSums::default(),
            dump_lock: None,
            set_log_level,
            set_log_role,
            tell_supervisor,
        }
    }

    /// Checks what can be checked before there are sockets, and loads users and policies. An error stops the start.
    pub fn start(&mut self, now: Now, world: &mut World<'_>) -> Result<(), String> {
        self.commands.check_renames(self.config.renames())?;
        self.load_users_at_start(world)?;
        let before_bytes = (self.identity.gauges)().allocated_bytes;
        self.load_policies_at_start(now)?;
        let loaded_bytes = (self.identity.gauges)().allocated_bytes;
        self.memory.policies_bytes += loaded_bytes.saturating_sub(before_bytes);
        self.commands = CommandTable::new(tenon_commands::TABLES, server::TABLES, self.config.renames());
        Ok(())
    }

    /// The sockets are there: loads what was saved, answering clients meanwhile, and serves them. An error ends the
    /// process.
    pub(crate) fn load_and_serve(&mut self, now: Now, world: &mut World<'_>) {
        if self.is_over {
            return;
        }
        // Tools that wait for this line connect next.
        tracing::info!("Server initialized");
        (self.tell_supervisor)(Milestone::Loading);
        let loaded = self.load_at_start(now, world);
        self.end_load();
        if self.is_over {
            return;
        }
        if let Err(sentence) = loaded {
            sentence.lines().for_each(|line| tracing::warn!("{line}"));
            if sentence.contains("RDB offset ") {
                tracing::warn!("Terminating server after rdb file reading failure.");
            }
            self.is_over = true;
            return world.outputs.request(Output::Exit { code: 1 });
        }
        self.is_started = true;
        self.listen_to_units();
        if let Some(primary) = self.config.primary().filter(|_| !self.replication.is_following) {
            let (host, port) = (String::from_utf8_lossy(&primary.host).into_owned(), primary.port);
            self.follow(now, host, port, world);
        }
        tracing::info!("Ready to accept connections");
        (self.tell_supervisor)(Milestone::Ready);
    }

    /// Starts a job in a lane. Its end comes with the ticket.
    pub(crate) fn start_job(
        &mut self,
        purpose: Purpose,
        lane: Lane,
        job: Box<dyn Job>,
        world: &mut World<'_>,
    ) -> Ticket {
        let ticket = self.ticket(purpose);
        world.outputs.request(Output::Run { ticket, lane, job });
        ticket
    }

    /// Frees what may be large where nobody waits for it.
    pub(crate) fn free_elsewhere(&mut self, discarded: impl Send + 'static, world: &mut World<'_>) {
        let mut discarded = Some(discarded);
        let job = move |_: &dyn tenon_base::Disk| drop(discarded.take());
        self.start_job(Purpose::Free, Lane::Free, Box::new(job), world);
    }

    pub(crate) fn ticket(&mut self, purpose: Purpose) -> Ticket {
        let ticket = Ticket(self.next_ticket);
        self.next_ticket += 1;
        self.jobs.insert(ticket, purpose);
        ticket
    }

    /// Remembers the most memory that was in use.
    pub(crate) fn note_memory(&mut self, outputs: &Outputs) {
        self.memory.peak_bytes = self.memory.peak_bytes.max(self.used_bytes(outputs));
    }

    fn completed(
        &mut self,
        now: Now,
        ticket: Ticket,
        result: Box<dyn std::any::Any + Send>,
        world: &mut World<'_>,
    ) {
        match self.jobs.remove(&ticket) {
            Some(Purpose::Log(id)) => self.log_job_ended(now, id, result),
            Some(Purpose::Save) => self.save_ended(now, result, world),
            Some(Purpose::Spill) => self.spilled(&*result),
            Some(Purpose::Backup) => self.backup_ended(now, result),
            Some(Purpose::ListBackups(connection)) => self.backups_listed(now, connection, result, world),
            Some(Purpose::SnapshotForReplicas) => self.snapshot_for_replicas_ended(now, result, world),
            Some(Purpose::TakeApart) => self.taken_apart(now, ticket, result, world),
            Some(Purpose::LoadPolicies) => self.policies_loaded(now, result, world),
            Some(Purpose::WatchPolicies) => self.policies_watched(now, result, world),
            Some(Purpose::ListPolicies(connection)) => self.policies_listed(now, connection, result, world),
            Some(Purpose::Free | Purpose::Link | Purpose::Migrate | Purpose::Listen(_)) | None => {}
        }
    }

    fn listen_ended(
        &mut self,
        now: Now,
        ticket: Ticket,
        result: Result<(), ListenError>,
        world: &mut World<'_>,
    ) {
        let Some(Purpose::Listen(client)) = self.jobs.remove(&ticket) else { return };
        self.listened(now, client, result, world);
    }

    /// Large values and cleared databases are freed where nobody waits for it.
    fn free_garbage(&mut self, world: &mut World<'_>) {
        while let Some(detached) = self.keyspace.take_discarded() {
            self.garbage.push(Garbage::Table(detached));
        }
        if self.garbage.is_empty() {
            return;
        }
        self.stats.lazy_freed += self.garbage.len() as u64;
        let garbage = std::mem::take(&mut self.garbage);
        self.free_elsewhere(garbage, world);
    }
}

impl Machine for Engine {
    fn expect(&self, coming: &mut dyn Iterator<Item = (ConnectionId, &[u8])>) {
        self.fetch_for(coming);
    }

    fn handle(&mut self, now: Now, input: Input<'_>, world: &mut World<'_>) {
        match input {
            Input::Received { connection, bytes } => {
                self.was_asked = true;
                self.received(now, connection, bytes, world);
            }
            Input::Connected { connection, peer } => self.connected(now, connection, peer, world),
            Input::Closed { connection } => self.ended(now, connection, world),
            Input::Completed { ticket, result } => self.completed(now, ticket, result, world),
            Input::Listened { ticket, result } => self.listen_ended(now, ticket, result, world),
            Input::Linked { ticket, result } => match self.jobs.remove(&ticket) {
                Some(Purpose::Migrate) => self.target_linked(now, ticket, result, world),
                _ => self.linked(now, ticket, result, world),
            },
            Input::Signal(signal @ (Signal::Terminate | Signal::Interrupt)) => {
                server::shutdown::signalled(self, now, signal, world);
            }
        }
    }

    fn settle(&mut self, now: Now, world: &mut World<'_>) {
        if !std::mem::replace(&mut self.listening.is_requested, true) {
            let config = self.config.clone();
            self.listen(&config, false, None, world);
        }
        if !self.is_started || self.is_over {
            // Nothing is decided about data that is not there.
            return;
        }
        self.run_cron(now, world);
        self.close_largest(now, world);
        self.settle_eviction(now, world);
        self.settle_waits(now, world);
        self.speak_to_replicas(now, world);
        self.settle_pause(now, world);
        self.settle_migrations(now, world);
        self.settle_waiting(now, world);
        self.settle_broadcasts(now, world);
        let log_began = self.durability.is_on().then(|| world.stopwatch.read());
        self.settle_log(now, world);
        if let Some(began) = log_began {
            self.stats.turns_by_part.log_us += world.stopwatch.read().since(began).0;
        }
        self.settle_replication(now, world);
        self.settle_failover(now, world);
        self.settle_departure(now, world);
        self.settle_stalled(now, world);
        self.free_garbage(world);
        self.free_tracked_keys(world);
        self.stats.count_turn(world.stopwatch.read().since(now.steady));
    }

    fn linger(&mut self, world: &mut World<'_>) {
        if self.is_started && !self.is_over {
            self.walk_cuts(world);
            self.walk_for_replicas(world);
        }
        self.was_asked = false;
    }

    fn wake_at(&self) -> Option<Micros> {
        let moments = [
            Some(self.cron.next_at()),
            self.durability.wake_at(),
            self.snapshots.wake_at(),
            self.backups.wake_at(),
            self.waiting.wake_at(),
            self.pause.wake_at(),
            self.eviction.wake_at(),
            Some(Micros(0)).filter(|_| self.tracking.has_broadcasts()),
            self.replication.wake_at(self.pause.is_on()),
            self.migrations.wake_at(),
            self.failover.wake_at(),
            self.departs_at(),
        ];
        moments.into_iter().flatten().min()
    }

    fn report(&mut self, now: Now, report: Report, world: &mut World<'_>) -> Reported {
        match report {
            Report::Metrics => Reported { is_good: true, text: self.metrics(now, world) },
            Report::Readiness => match self.why_not_ready() {
                None => Reported { is_good: true, text: "ready\n".to_owned() },
                Some(reason) => Reported { is_good: false, text: format!("{reason}\n") },
            },
        }
    }
}
