//! A public module.

pub struct Deep(pub u8, u16);

pub trait Policy: Send {
    type Key;
    fn required(&self) -> Self::Key;
    fn provided(&self) -> u8 {
        1
    }
}

impl<T: Policy> Policy for Box<T> {
    type Key = T::Key;
    fn required(&self) -> T::Key {
        (**self).required()
    }
}
