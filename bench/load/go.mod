module longshore.example/bench/load

go 1.22
