mod money;
mod row;
