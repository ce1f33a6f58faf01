package syscalls

var (
	Do            = do
	OrUnsupported = orUnsupported
	Address       = address
)
