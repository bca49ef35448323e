//! What a search looks at: a circle or a box around a position, and the cells that cover it. Knows no sorted set.
//! Always: the nine cells together cover the shape wherever nine of one size can.

use super::cell::{Cell, Position, STEP_MAX, Toward};
use super::distance::{EARTH_RADIUS_M, Origin, degrees, distance_m, meridian_distance_m, radians};

/// A circle or a box.
#[derive(Clone, Copy, Debug)]
pub(super) struct Shape {
    pub(super) center: Position,
    pub(super) extent: Extent,
    /// Metres that the unit of the extent has.
    pub(super) unit_m: f64,
}

/// How large a shape is, in its own unit.
#[derive(Clone, Copy, Debug)]
pub(super) enum Extent {
    Circle { radius: f64 },
    Box { width: f64, height: f64 },
}

/// The smallest and largest coordinates of a shape, in degrees; beyond 180 where it goes round the world.
struct Bounds {
    west: f64,
    east: f64,
    south: f64,
    north: f64,
}

impl Shape {
    /// How far a position is from the centre, in metres; `None` if it is outside. `center` is the shape's.
    pub(super) fn distance_m_within(&self, center: &Origin, position: Position) -> Option<f64> {
        match self.extent {
            Extent::Circle { radius } => {
                let distance = center.distance_m(position);
                (distance <= radius * self.unit_m).then_some(distance)
            }
            Extent::Box { width, height } => {
                let from_south = meridian_distance_m(position.latitude, self.center.latitude);
                if from_south > height * self.unit_m / 2.0 {
                    return None;
                }
                let abreast = Position { latitude: position.latitude, ..self.center };
                if distance_m(position, abreast) > width * self.unit_m / 2.0 {
                    return None;
                }
                Some(center.distance_m(position))
            }
        }
    }

    /// The cells to look into, in the order of the search: the centre's, those beside it, those at its corners.
    /// A cell may come more than once where there are few.
    pub(super) fn cells(&self) -> [Option<Cell>; 9] {
        use Toward::{Down, Here, Up};
        let bounds = self.bounds();
        let mut step = step_for(self.reach_m(), self.center.latitude);
        let mut cell = Cell::at(self.center, step);
        if step > 1 && !neighbours_reach(cell, &bounds) {
            step -= 1;
            cell = Cell::at(self.center, step);
        }
        let area = cell.area();
        // With few cells left, one may be neighbour on both sides, and none is left out.
        let is_needed = |longitude: Toward, latitude: Toward| {
            let is_beyond = match longitude {
                Here => false,
                Up => area.longitude.max > bounds.east,
                Down => area.longitude.min < bounds.west,
            } || match latitude {
                Here => false,
                Up => area.latitude.max > bounds.north,
                Down => area.latitude.min < bounds.south,
            };
            step < 2 || !is_beyond
        };
        const ORDER: [(Toward, Toward); 9] = [
            (Here, Here),
            (Here, Up),
            (Here, Down),
            (Up, Here),
            (Down, Here),
            (Up, Up),
            (Down, Up),
            (Up, Down),
            (Down, Down),
        ];
        ORDER.map(|(longitude, latitude)| {
            is_needed(longitude, latitude).then(|| cell.neighbour(longitude, latitude))
        })
    }

    /// How far the farthest point is from the centre, in metres.
    fn reach_m(&self) -> f64 {
        let reach = match self.extent {
            Extent::Circle { radius } => radius,
            Extent::Box { width, height } => {
                ((width / 2.0) * (width / 2.0) + (height / 2.0) * (height / 2.0)).sqrt()
            }
        };
        reach * self.unit_m
    }

    /// A degree of longitude is the shorter the farther it is from the equator; so the edge away from it counts
    /// in the north and, in the south, the edge that is farther south.
    fn bounds(&self) -> Bounds {
        let Position { longitude, latitude } = self.center;
        let (width, height) = match self.extent {
            Extent::Circle { radius } => (self.unit_m * radius, self.unit_m * radius),
            Extent::Box { width, height } => (self.unit_m * (width / 2.0), self.unit_m * (height / 2.0)),
        };
        let north_south = degrees(height / EARTH_RADIUS_M);
        let outer = if latitude < 0.0 { latitude - north_south } else { latitude + north_south };
        let east_west = degrees(width / EARTH_RADIUS_M / radians(outer).cos());
        Bounds {
            west: longitude - east_west,
            east: longitude + east_west,
            south: latitude - north_south,
            north: latitude + north_south,
        }
    }
}

/// How often to halve the world so that nine cells of that size are likely to cover so many metres around a
/// position of this latitude.
fn step_for(reach_m: f64, latitude: f64) -> u32 {
    /// Half of the equator on a Mercator map.
    const HALF_EQUATOR_M: f64 = 20_037_726.37;
    if reach_m == 0.0 {
        return STEP_MAX;
    }
    let (mut step, mut covered_m) = (1i32, reach_m);
    while covered_m < HALF_EQUATOR_M {
        covered_m *= 2.0;
        step += 1;
    }
    // Two fewer make sure in most cases; towards the poles, where cells are narrow, it takes more.
    step -= match latitude.abs() {
        degrees if degrees > 80.0 => 4,
        degrees if degrees > 66.0 => 3,
        _ => 2,
    };
    step.clamp(1, STEP_MAX as i32) as u32
}

/// Whether the cells around one reach as far as the bounds. A position near the edge of its cell may need more.
fn neighbours_reach(cell: Cell, bounds: &Bounds) -> bool {
    use Toward::{Down, Here, Up};
    let area = |longitude, latitude| cell.neighbour(longitude, latitude).area();
    let falls_short = area(Here, Up).latitude.max < bounds.north
        || area(Here, Down).latitude.min > bounds.south
        || area(Up, Here).longitude.max < bounds.east
        || area(Down, Here).longitude.min > bounds.west;
    !falls_short
}

#[cfg(test)]
mod tests {
    use super::*;

    fn circle(longitude: f64, latitude: f64, radius: f64) -> Shape {
        Shape { center: Position { longitude, latitude }, extent: Extent::Circle { radius }, unit_m: 1.0 }
    }

    #[test]
    fn the_larger_the_circle_the_larger_the_cells() {
        assert_eq!(step_for(0.0, 0.0), STEP_MAX);
        assert_eq!(step_for(1e-300, 0.0), STEP_MAX);
        assert_eq!(step_for(f64::INFINITY, 0.0), 1);
        assert_eq!(step_for(1_000.0, 0.0), 14);
        assert_eq!(step_for(1_000.0, -70.0), 13);
        assert_eq!(step_for(1_000.0, 80.5), 12);
    }

    #[test]
    fn cells_that_cannot_hold_anything_are_left_out() {
        let wanted = |shape: Shape| shape.cells().iter().flatten().count();
        assert!(wanted(circle(13.0, 38.0, 100.0)) < 9);
        // At the first halving, all are kept: they cover the world.
        assert_eq!(wanted(circle(13.0, 38.0, 1e9)), 9);
    }

    #[test]
    fn a_box_is_no_circle() {
        let extent = Extent::Box { width: 400.0, height: 200.0 };
        let shape = Shape { extent, unit_m: 1_000.0, ..circle(15.0, 37.0, 0.0) };
        let center = Origin::of(shape.center);
        let at = |longitude, latitude| shape.distance_m_within(&center, Position { longitude, latitude });
        assert!(at(17.0, 37.5).is_some());
        assert!(at(15.0, 38.0).is_none());
        assert!(at(17.5, 37.0).is_none());
    }
}
