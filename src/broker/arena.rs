//! Places that are given out, taken back, and never mistaken for their earlier tenants.

use super::effect::SessionRef;

/// Values in numbered places. A reference to a value that is gone finds nothing, even if the place has a new tenant.
#[derive(Debug)]
pub struct Arena<T> {
    places: Vec<Place<T>>,
    free: Vec<u32>,
    len: usize,
}

#[derive(Debug)]
struct Place<T> {
    generation: u32,
    value: Option<T>,
}

impl<T> Default for Arena<T> {
    fn default() -> Self {
        Self { places: Vec::new(), free: Vec::new(), len: 0 }
    }
}

impl<T> Arena<T> {
    /// Puts a value in, made from the place it gets.
    pub fn insert_with(&mut self, make: impl FnOnce(SessionRef) -> T) -> SessionRef {
        let index = self.free.pop().unwrap_or_else(|| {
            self.places.push(Place { generation: 0, value: None });
            u32::try_from(self.places.len().saturating_sub(1)).unwrap_or(u32::MAX)
        });
        let generation = self.place(index).map_or(0, |place| place.generation);
        let at = SessionRef { index, generation };
        let value = make(at);
        if let Some(place) = self.place_mut(index) {
            place.value = Some(value);
        }
        self.len = self.len.saturating_add(1);
        at
    }

    /// Takes the value in this place out.
    pub fn remove(&mut self, index: u32) -> Option<T> {
        let place = self.place_mut(index)?;
        let value = place.value.take()?;
        place.generation = place.generation.wrapping_add(1);
        self.free.push(index);
        self.len = self.len.saturating_sub(1);
        Some(value)
    }

    /// The value in this place.
    pub fn get(&self, index: u32) -> Option<&T> {
        self.place(index)?.value.as_ref()
    }

    /// The value in this place, to change.
    pub fn get_mut(&mut self, index: u32) -> Option<&mut T> {
        self.place_mut(index)?.value.as_mut()
    }

    /// The place of a reference, if its value is still there.
    pub fn find(&self, at: SessionRef) -> Option<u32> {
        let place = self.place(at.index)?;
        (place.generation == at.generation && place.value.is_some()).then_some(at.index)
    }

    /// How many values there are.
    pub fn len(&self) -> usize {
        self.len
    }

    /// The places that have a value, in ascending order.
    pub fn indexes(&self) -> Vec<u32> {
        let places = self.places.iter().zip(0_u32..);
        places.filter(|(place, _)| place.value.is_some()).map(|(_, index)| index).collect()
    }

    fn place(&self, index: u32) -> Option<&Place<T>> {
        self.places.get(usize::try_from(index).ok()?)
    }

    fn place_mut(&mut self, index: u32) -> Option<&mut Place<T>> {
        self.places.get_mut(usize::try_from(index).ok()?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reference_does_not_find_the_next_tenant() {
        let mut arena = Arena::default();
        let first = arena.insert_with(|_| 'a');
        assert_eq!(arena.remove(first.index), Some('a'));
        let second = arena.insert_with(|_| 'b');
        assert_eq!(second.index, first.index);
        assert_eq!(arena.find(first), None);
        assert_eq!(arena.find(second), Some(second.index));
        assert_eq!(arena.len(), 1);
        assert_eq!(arena.indexes(), [second.index]);
    }
}
