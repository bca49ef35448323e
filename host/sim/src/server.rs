//! Engines as the server would make them, out of directives, with chance that follows from a seed.

use std::any::Any;
use std::sync::{Arc, Mutex};

use tenon_base::{Dice, Now, World as Surroundings};
use tenon_config::{Config, Place, Source as ConfigSource};
use tenon_engine::{Allocator, Engine, Gauges, Identity, Setup};
use tenon_policy::{NativePolicies, PolicyLoader, PolicySpec, Source};
use tenon_wasm::{Limits, WasmPolicies};

/// Both forms of the default policies.
#[derive(Clone)]
pub struct Loaders {
    native: Arc<dyn PolicyLoader>,
    components: Option<Arc<dyn PolicyLoader>>,
    /// One of each component: while somebody uses its code, nobody compiles it again.
    users: Arc<Mutex<Vec<Box<dyn Any + Send>>>>,
}

impl Loaders {
    /// Both, or the native ones alone where the program holds no components. What limits guests is fuel: time would make
    /// two runs differ.
    pub fn new() -> Result<Loaders, String> {
        let native = Arc::new(NativePolicies);
        let mut loaders = Loaders { native, components: None, users: Arc::default() };
        if WasmPolicies::builtins_are_components() {
            let limits = Limits { call_ms_max: 500, ..Limits::default() };
            let policies = WasmPolicies::new(None, limits).map_err(|error| error.to_string())?;
            let spec = PolicySpec { source: Source::Builtin, sha256: None, settings: Vec::new() };
            let start = spec.start("default", tenon_engine::TENON_VERSION);
            let fsync = policies.load_fsync(&spec, &start).map_err(|refusal| refusal.sentence)?;
            let snapshot = policies.load_snapshot(&spec, &start).map_err(|refusal| refusal.sentence)?;
            loaders.users = Arc::new(Mutex::new(vec![Box::new(fsync), Box::new(snapshot)]));
            loaders.components = Some(Arc::new(policies));
        }
        Ok(loaders)
    }

    pub(crate) fn choose(&self, components: bool) -> Arc<dyn PolicyLoader> {
        self.components.as_ref().filter(|_| components).unwrap_or(&self.native).clone()
    }
}

/// What a server is configured with: names and values as in a configuration file.
pub(crate) type Directives = Vec<(&'static str, String)>;

/// An engine that is about to load what its disk holds. It must not refuse these directives.
pub(crate) fn engine(
    directives: &Directives,
    loader: Arc<dyn PolicyLoader>,
    mut dice: Dice,
    now: Now,
    world: &mut Surroundings<'_>,
) -> Engine {
    let mut config = Config::default();
    for (name, value) in directives {
        let place = Place { source: ConfigSource::Arguments, found: format!("{name} {value}") };
        let words: Vec<&[u8]> = match value.as_str() {
            "" => vec![b""],
            value => value.split(' ').map(str::as_bytes).collect(),
        };
        config.apply(name.as_bytes(), &words, &place).expect("a directive that can be read");
    }
    config.finish().expect("directives that go together");
    let mut engine = Engine::new(Setup {
        config,
        config_file: None,
        secret: [7; 32],
        identity: identity(now, &mut dice),
        dice,
        policy_loader: loader,
        set_log_level: Box::new(|_| {}),
        set_log_role: Box::new(|_| {}),
        tell_supervisor: Box::new(|_| {}),
    });
    engine.start(now, world).expect("an engine that needs no file to start");
    engine
}

fn identity(started: Now, dice: &mut Dice) -> Identity {
    Identity {
        run_id: dice.hex(40),
        pid: 4_711,
        executable: "/usr/bin/tenon".to_owned(),
        system: "Linux 6.1 x86_64".to_owned(),
        started,
        utc_offset_minutes: 0,
        total_memory_bytes: 8 << 30,
        gauges: Gauges::default,
        program_bytes: 0,
        allocator: Allocator { purge: || true, report: Vec::new },
    }
}
