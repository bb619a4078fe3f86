mod delta;
mod sotw;
mod world;
