//! Positions through the harness: what is propagated, told and stored. Replies are compared with Redis's in
//! `tests/scripts/geo.resp`.

use crate::testing::Bench;
use tenon_base::Dice;

#[test]
fn positions_are_propagated_as_scores() {
    let mut bench = Bench::new();
    assert_eq!(bench.run("GEOADD k 13.361389 38.115556 Palermo 15.087269 37.502669 Catania"), "2");
    assert_eq!(bench.effects(), "ZADD k 3479099956230698 Palermo 3479447370796909 Catania");
    assert_eq!((bench.events().as_str(), bench.dirty()), ("new k; zadd k", 2));
    assert_eq!(bench.run("GEOADD k xx CH 13.5 38 Palermo 0 0 nowhere"), "1");
    assert!(bench.effects().starts_with("ZADD k xx CH "), "{}", bench.effects());
    assert_eq!(bench.run("GEOADD k NX CH 0 0 Palermo"), "0");
    assert_eq!(bench.effects(), "");
    assert_eq!(bench.run("GEOADD none XX 0 0 Palermo"), "0");
    assert_eq!(bench.run("EXISTS none"), "0");
}

#[test]
fn nothing_is_added_if_one_position_is_wrong() {
    let mut bench = Bench::new();
    let refused = bench.run("GEOADD k 1 2 a 181 2.5 b");
    assert_eq!(refused, "(error) ERR invalid longitude,latitude pair 181.000000,2.500000");
    assert_eq!(bench.run("EXISTS k"), "0");
}

#[test]
fn results_are_stored_in_place_of_anything() {
    let mut bench = Bench::new();
    bench.run("GEOADD k 13.361389 38.115556 Palermo 15.087269 37.502669 Catania");
    bench.run("SET d text");
    assert_eq!(bench.run("GEOSEARCHSTORE d k FROMLONLAT 15 37 BYRADIUS 200 km STOREDIST"), "2");
    assert_eq!((bench.events().as_str(), bench.dirty()), ("geosearchstore d", 2));
    assert_eq!(bench.run("OBJECT ENCODING d"), r#""listpack""#);
    assert_eq!(bench.run("GEORADIUS k 15 37 200 km STORE k COUNT 1"), "1");
    assert_eq!((bench.events().as_str(), bench.dirty()), ("georadiusstore k", 1));
    assert_eq!(bench.run("ZRANGE k 0 -1 WITHSCORES"), r#"["Catania", "3479447370796909"]"#);
    assert_eq!(bench.run("GEORADIUSBYMEMBER none nobody 1 km STORE d"), "0");
    assert_eq!((bench.events().as_str(), bench.dirty()), ("del d", 1));
    assert_eq!(bench.run("GEORADIUSBYMEMBER none nobody 1 km STORE d"), "0");
    assert_eq!((bench.effects().as_str(), bench.dirty()), ("", 0));
}

#[test]
fn searches_find_what_is_within_and_nothing_else() {
    let mut bench = Bench::new();
    let mut dice = Dice::seeded(20_240_607);
    let mut degrees = |bound: f64| (dice.below(1 << 40) as f64 / (1u64 << 39) as f64 - 1.0) * bound;
    for member in 0..500 {
        bench.run(&format!("GEOADD k {} {} m{member}", degrees(180.0), degrees(85.0)));
    }
    for round in 0..60 {
        let (longitude, latitude) = (degrees(180.0), degrees(60.0));
        bench.run(&format!("GEOADD center {longitude} {latitude} c"));
        let radius_km = 50.0 * 1.1f64.powi(round);
        let found =
            bench.run(&format!("GEOSEARCH k FROMLONLAT {longitude} {latitude} BYRADIUS {radius_km} km"));
        for member in 0..500 {
            let position = bench.run(&format!("GEOPOS k m{member}"));
            let numbers: Vec<&str> =
                position.split('"').filter(|part| part.contains(|c: char| c.is_ascii_digit())).collect();
            bench.run(&format!("GEOADD center {} {} m", numbers[0], numbers[1]));
            let distance = bench.run("GEODIST center c m km");
            let distance_km: f64 = distance.trim_matches('"').parse().expect("a distance");
            // The two centres differ by half a metre: one is rounded to a cell.
            if (distance_km - radius_km).abs() > 0.01 {
                let is_found = found.contains(&format!("\"m{member}\""));
                assert_eq!(is_found, distance_km < radius_km, "m{member} at {distance_km} of {radius_km} km");
            }
        }
    }
}
