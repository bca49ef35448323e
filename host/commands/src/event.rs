//! What happened to a key, as keyspace notifications name it.

/// An event: its name, and the class that `notify-keyspace-events` selects it by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Event {
    /// The name that subscribers see.
    pub name: &'static str,
    /// Its class.
    pub class: EventClass,
}

/// Classes of events, by the letter that selects them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EventClass {
    /// `g`: commands of no type.
    Generic,
    /// `$`: strings.
    String,
    /// `l`: lists.
    List,
    /// `s`: sets.
    Set,
    /// `h`: hashes.
    Hash,
    /// `z`: sorted sets.
    SortedSet,
    /// `t`: streams.
    Stream,
    /// `x`: a key expired.
    Expired,
    /// `e`: a key was evicted.
    Evicted,
    /// `n`: a key is new.
    New,
    /// `m`: a key was looked for that is not there.
    Miss,
}

impl EventClass {
    /// The letter that selects it in `notify-keyspace-events`.
    pub const fn letter(self) -> u8 {
        match self {
            EventClass::Generic => b'g',
            EventClass::String => b'$',
            EventClass::List => b'l',
            EventClass::Set => b's',
            EventClass::Hash => b'h',
            EventClass::SortedSet => b'z',
            EventClass::Stream => b't',
            EventClass::Expired => b'x',
            EventClass::Evicted => b'e',
            EventClass::New => b'n',
            EventClass::Miss => b'm',
        }
    }
}

macro_rules! events {
    ($($constant:ident $name:literal $class:ident;)*) => {
        impl Event {
            $(#[doc = concat!("`", $name, "`")] pub const $constant: Event =
                Event { name: $name, class: EventClass::$class };)*
        }
    };
}

events! {
    DEL "del" Generic;
    EXPIRE "expire" Generic;
    PERSIST "persist" Generic;
    RENAME_FROM "rename_from" Generic;
    RENAME_TO "rename_to" Generic;
    COPY_TO "copy_to" Generic;
    MOVE_FROM "move_from" Generic;
    MOVE_TO "move_to" Generic;
    EXPIRED "expired" Expired;
    EVICTED "evicted" Evicted;
    NEW "new" New;
    KEYMISS "keymiss" Miss;
    SET "set" String;
    SETRANGE "setrange" String;
    APPEND "append" String;
    INCRBY "incrby" String;
    INCRBYFLOAT "incrbyfloat" String;
    SETBIT "setbit" String;
    PFADD "pfadd" String;
    LPUSH "lpush" List;
    RPUSH "rpush" List;
    LPOP "lpop" List;
    RPOP "rpop" List;
    LINSERT "linsert" List;
    LSET "lset" List;
    LREM "lrem" List;
    LTRIM "ltrim" List;
    HSET "hset" Hash;
    HDEL "hdel" Hash;
    HINCRBY "hincrby" Hash;
    HINCRBYFLOAT "hincrbyfloat" Hash;
    SADD "sadd" Set;
    SREM "srem" Set;
    SPOP "spop" Set;
    SINTERSTORE "sinterstore" Set;
    SUNIONSTORE "sunionstore" Set;
    SDIFFSTORE "sdiffstore" Set;
    ZADD "zadd" SortedSet;
    ZINCR "zincr" SortedSet;
    ZREM "zrem" SortedSet;
    ZPOPMIN "zpopmin" SortedSet;
    ZPOPMAX "zpopmax" SortedSet;
    ZREMRANGEBYRANK "zremrangebyrank" SortedSet;
    ZREMRANGEBYSCORE "zremrangebyscore" SortedSet;
    ZREMRANGEBYLEX "zremrangebylex" SortedSet;
    ZRANGESTORE "zrangestore" SortedSet;
    ZUNIONSTORE "zunionstore" SortedSet;
    ZINTERSTORE "zinterstore" SortedSet;
    ZDIFFSTORE "zdiffstore" SortedSet;
    XADD "xadd" Stream;
    XDEL "xdel" Stream;
    XTRIM "xtrim" Stream;
    XSETID "xsetid" Stream;
    XGROUP_CREATE "xgroup-create" Stream;
    XGROUP_CREATECONSUMER "xgroup-createconsumer" Stream;
    XGROUP_DELCONSUMER "xgroup-delconsumer" Stream;
    XGROUP_DESTROY "xgroup-destroy" Stream;
    XGROUP_SETID "xgroup-setid" Stream;
    GEOSEARCHSTORE "geosearchstore" SortedSet;
    GEORADIUSSTORE "georadiusstore" SortedSet;
    SORTSTORE "sortstore" List;
    RESTORE "restore" Generic;
}
