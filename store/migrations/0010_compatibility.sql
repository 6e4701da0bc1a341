-- expand: servers that do not know the column never name it
-- The oldest schema whose servers may work beside the one that a migration leads to; a server's schema is the last
-- migration that it knows. Nothing where the migration itself is the oldest.
ALTER TABLE migrations ADD COLUMN oldest INTEGER;
