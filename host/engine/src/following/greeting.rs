//! What a follower says of itself to its primary.
//! Decides nothing else: when it is said is `tenon-replication`'s to know.

use tenon_base::Micros;
use tenon_config::{Config, Directive};
use tenon_replication::Greeting;

/// What we say of ourselves, as configured.
pub(crate) fn greeting(config: &Config) -> Greeting {
    let announced = config.integer(Directive::ReplicaAnnouncePort);
    let tls_port =
        if config.bool(Directive::TlsReplication) { config.integer(Directive::TlsPort) } else { 0 };
    let own = if tls_port > 0 { tls_port } else { config.integer(Directive::Port) };
    let port = if announced > 0 { announced } else { own };
    Greeting {
        user: config.text(Directive::MasterUser).to_vec(),
        password: config.text(Directive::MasterAuth).to_vec(),
        port: u16::try_from(port).unwrap_or(0),
        address: config.text(Directive::ReplicaAnnounceIp).to_vec(),
        timeout: Micros::from_millis(
            u64::try_from(config.integer(Directive::ReplTimeout)).unwrap_or(60).saturating_mul(1_000),
        ),
        takes_two_links: config.bool(Directive::DualChannelReplicationEnabled),
    }
}
