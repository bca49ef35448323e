//! What a search is told: the words of GEOSEARCH and GEORADIUS and their kin, read in order as Redis reads them.
//! Finds nothing itself: see `search`.
//! Always: what is wrong is told before anything is looked for or changed.

use tenon_keyspace::Zset;
use tenon_resp::Args;

use super::cell::Position;
use super::shape::{Extent, Shape};
use super::{position_at, unit_at};
use crate::{CommandError, Words};

/// Which of the commands searches.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Form {
    /// GEORADIUS: around a position.
    Radius { may_store: bool },
    /// GEORADIUSBYMEMBER: around a member.
    RadiusByMember { may_store: bool },
    /// GEOSEARCH.
    Search,
    /// GEOSEARCHSTORE.
    SearchStore,
}

/// What to look for, and what to do with it.
pub(super) struct Query<'a> {
    /// Where to look; unknown where there is no key to look into.
    pub(super) shape: Option<Shape>,
    /// The order of what is found.
    pub(super) order: Order,
    /// How many at most.
    pub(super) count: Option<usize>,
    /// Whether the first so many do, near or far.
    pub(super) any: bool,
    pub(super) with_distance: bool,
    pub(super) with_hash: bool,
    pub(super) with_position: bool,
    /// The key to store in.
    pub(super) target: Option<&'a [u8]>,
    /// Whether distances are stored in place of positions.
    pub(super) stores_distances: bool,
}

/// The order of what is found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Order {
    /// As the search meets it.
    Unsorted,
    NearestFirst,
    FarthestFirst,
}

impl Form {
    /// The word that names the key to look into.
    pub(super) fn source(self) -> usize {
        if self == Form::SearchStore { 2 } else { 1 }
    }

    /// Where options begin.
    fn options(self) -> usize {
        match self {
            Form::Radius { .. } => 6,
            Form::RadiusByMember { .. } => 5,
            Form::Search => 2,
            Form::SearchStore => 3,
        }
    }

    fn is_search(self) -> bool {
        matches!(self, Form::Search | Form::SearchStore)
    }

    fn may_store(self) -> bool {
        matches!(self, Form::Radius { may_store: true } | Form::RadiusByMember { may_store: true })
    }
}

/// How far reading has come.
struct Reader<'a, 'z> {
    args: Args<'a>,
    form: Form,
    zset: Option<&'z Zset>,
    query: Query<'a>,
    /// FROMLONLAT was there.
    has_position: bool,
    /// FROMMEMBER was there.
    has_member: bool,
    center: Option<Position>,
    /// How large the shape is, and its unit.
    extent: Option<(Extent, f64)>,
}

impl<'a> Query<'a> {
    /// Reads a request that is to look into `zset`, if there is one.
    pub(super) fn parse(args: Args<'a>, form: Form, zset: Option<&Zset>) -> Result<Query<'a>, CommandError> {
        let query = Query {
            shape: None,
            order: Order::Unsorted,
            count: None,
            any: false,
            with_distance: false,
            with_hash: false,
            with_position: false,
            target: (form == Form::SearchStore).then(|| args.get(1)),
            stores_distances: false,
        };
        let mut reader = Reader {
            args,
            form,
            zset,
            query,
            has_position: false,
            has_member: false,
            center: None,
            extent: None,
        };
        reader.read_fixed()?;
        let mut index = form.options();
        while index < args.len() {
            index += 1 + reader.read_option(index)?;
        }
        reader.finish()
    }
}

impl<'a> Reader<'a, '_> {
    /// Reads what stands before the options of GEORADIUS and GEORADIUSBYMEMBER.
    fn read_fixed(&mut self) -> Result<(), CommandError> {
        match self.form {
            Form::Radius { .. } => {
                self.center = Some(position_at(self.args, 2)?);
                self.extent = Some(circle(self.args, 4)?);
            }
            // Without the key nothing is told of its member, nor of the radius.
            Form::RadiusByMember { .. } if self.zset.is_some() => {
                self.center = self.member_position(2)?;
                self.extent = Some(circle(self.args, 3)?);
            }
            _ => {}
        }
        Ok(())
    }

    /// Reads the option at word `index`; returns how many words behind it belong to it.
    fn read_option(&mut self, index: usize) -> Result<usize, CommandError> {
        let (args, form) = (self.args, self.form);
        let has = |words: usize| index + words < args.len();
        let named = |name: &str| args.is(index, name);
        let query = &mut self.query;
        match () {
            () if named("WITHDIST") => query.with_distance = true,
            () if named("WITHHASH") => query.with_hash = true,
            () if named("WITHCOORD") => query.with_position = true,
            () if named("ANY") => query.any = true,
            () if named("ASC") => query.order = Order::NearestFirst,
            () if named("DESC") => query.order = Order::FarthestFirst,
            () if named("COUNT") && has(1) => {
                query.count = Some(count_at(args, index + 1)?);
                return Ok(1);
            }
            () if (named("STORE") || named("STOREDIST")) && has(1) && form.may_store() => {
                query.target = Some(args.get(index + 1));
                query.stores_distances = named("STOREDIST");
                return Ok(1);
            }
            () if named("STOREDIST") && form == Form::SearchStore => query.stores_distances = true,
            () => return self.read_shape(index),
        }
        Ok(0)
    }

    /// As [`Reader::read_option`], for what tells GEOSEARCH where to look.
    fn read_shape(&mut self, index: usize) -> Result<usize, CommandError> {
        let args = self.args;
        let named = |name: &str, words: usize| args.is(index, name) && index + words < args.len();
        let has_circle = matches!(self.extent, Some((Extent::Circle { .. }, _)));
        let has_box = matches!(self.extent, Some((Extent::Box { .. }, _)));
        match () {
            () if !self.form.is_search() => Err(CommandError::Syntax),
            () if named("FROMMEMBER", 1) && !self.has_position => {
                self.center = self.member_position(index + 1)?;
                self.has_member = true;
                Ok(1)
            }
            () if named("FROMLONLAT", 2) && !self.has_member => {
                self.center = Some(position_at(args, index + 1)?);
                self.has_position = true;
                Ok(2)
            }
            () if named("BYRADIUS", 2) && !has_box => {
                self.extent = Some(circle(args, index + 1)?);
                Ok(2)
            }
            () if named("BYBOX", 3) && !has_circle => {
                self.extent = Some(rectangle(args, index + 1)?);
                Ok(3)
            }
            () => Err(CommandError::Syntax),
        }
    }

    /// The position of the member at word `index`; unknown if there is no key.
    fn member_position(&self, index: usize) -> Result<Option<Position>, CommandError> {
        let Some(zset) = self.zset else { return Ok(None) };
        let score = zset.score(self.args.get(index));
        let unknown = CommandError::text("ERR could not decode requested zset member");
        Ok(Some(Position::of_score(score.ok_or(unknown)?)))
    }

    fn finish(self) -> Result<Query<'a>, CommandError> {
        let Reader { args, form, mut query, center, .. } = self;
        let shows = query.with_distance || query.with_hash || query.with_position;
        if query.target.is_some() && shows {
            return Err(CommandError::text(match form {
                Form::SearchStore => {
                    "ERR GEOSEARCHSTORE is not compatible with WITHDIST, WITHHASH and WITHCOORD options"
                }
                _ => {
                    "ERR STORE option in GEORADIUS is not compatible with WITHDIST, WITHHASH and WITHCOORD \
                     options"
                }
            }));
        }
        let missing = match () {
            () if !form.is_search() => None,
            () if !self.has_member && !self.has_position => Some("FROMMEMBER or FROMLONLAT"),
            () if self.extent.is_none() => Some("BYRADIUS and BYBOX"),
            () => None,
        };
        if let Some(missing) = missing {
            let name = String::from_utf8_lossy(args.get(0));
            let text = format!("ERR exactly one of {missing} can be specified for {name}");
            return Err(CommandError::Text(text.into()));
        }
        if query.any && query.count.is_none() {
            return Err(CommandError::text("ERR the ANY argument requires COUNT argument"));
        }
        // The nearest are meant, unless any will do.
        if query.count.is_some() && query.order == Order::Unsorted && !query.any {
            query.order = Order::NearestFirst;
        }
        query.shape =
            center.zip(self.extent).map(|(center, (extent, unit_m))| Shape { center, extent, unit_m });
        Ok(query)
    }
}

fn count_at(args: Args<'_>, index: usize) -> Result<usize, CommandError> {
    let count = args.integer(index)?;
    if count <= 0 {
        return Err(CommandError::text("ERR COUNT must be > 0"));
    }
    Ok(usize::try_from(count).unwrap_or(usize::MAX))
}

/// A radius and its unit.
fn circle(args: Args<'_>, index: usize) -> Result<(Extent, f64), CommandError> {
    let radius = number_at(args, index, "ERR need numeric radius")?;
    if radius < 0.0 {
        return Err(CommandError::text("ERR radius cannot be negative"));
    }
    Ok((Extent::Circle { radius }, unit_at(args, index + 1)?))
}

/// Width and height and their unit.
fn rectangle(args: Args<'_>, index: usize) -> Result<(Extent, f64), CommandError> {
    let width = number_at(args, index, "ERR need numeric width")?;
    let height = number_at(args, index + 1, "ERR need numeric height")?;
    if width < 0.0 || height < 0.0 {
        return Err(CommandError::text("ERR height or width cannot be negative"));
    }
    Ok((Extent::Box { width, height }, unit_at(args, index + 2)?))
}

fn number_at(args: Args<'_>, index: usize, error: &'static str) -> Result<f64, CommandError> {
    args.float(index).map_err(|_| CommandError::text(error))
}
