module acts

go 1.24
